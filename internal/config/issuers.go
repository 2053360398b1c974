package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Several issuers are the one thing that is configured a number of times. In
// the file each is a section [[auth.issuers]]; its keys there have the last words
// of those by which the first issuer is configured, auth.hs256_secret and so
// on. Elsewhere they have the number of the section: auth.issuers.2.hs256_secret,
// TERTULIA_AUTH_ISSUERS_2_HS256_SECRET. They have no flags.

const (
	issuersName   = "auth.issuers"
	issuersFollow = "auth.service_keys" // what they stand behind in the documents
	maxIssuers    = 16
)

// issuerKeys are the keys of a section [[auth.issuers]], all sections' one
// after the other.
var issuerKeys = collectIssuers()

func collectIssuers() (all []Key) {
	for n := range maxIssuers {
		for _, k := range collect(reflect.TypeFor[Issuer](), nil) {
			_, word := k.section()
			k.Name, k.issuer = fmt.Sprintf("%s.%d.%s", issuersName, n+1, word), n+1
			all = append(all, k)
		}
	}
	return all
}

// field is the key's field in c, with as many issuers as it takes.
func (k Key) field(c *Config) reflect.Value {
	if k.issuer == 0 {
		return reflect.ValueOf(c).Elem().FieldByIndex(k.index)
	}
	for len(c.Auth.Issuers) < k.issuer {
		c.Auth.Issuers = append(c.Auth.Issuers, Default().Auth.Issuer)
	}
	return reflect.ValueOf(&c.Auth.Issuers[k.issuer-1]).Elem().FieldByIndex(k.index)
}

// settable are the keys that c has, those of its issuers included.
func (c *Config) settable() []Key {
	perIssuer := len(issuerKeys) / maxIssuers
	return append(Keys(), issuerKeys[:perIssuer*len(c.Auth.Issuers)]...)
}

// AllIssuers returns the issuers that have a key: the one of the section
// [auth] before those of the sections [[auth.issuers]].
func (a *Auth) AllIssuers() []Issuer {
	var all []Issuer
	for _, i := range append([]Issuer{a.Issuer}, a.Issuers...) {
		if len(i.givenKeys()) > 0 {
			all = append(all, i)
		}
	}
	return all
}

// validateIssuers calls wrong for what is wrong with single issuers, and for
// what does not fit together. given says which keys are set.
func (a *Auth) validateIssuers(given func(key string) bool, wrong complaint) {
	first := len(a.Issuer.givenKeys()) > 0
	switch {
	case !first && len(a.Issuers) == 0 && a.Mode == AuthToken:
		wrong("auth.mode", "is token, which needs a key to check tokens with: set one of auth.hs256_secret, auth.public_keys and auth.jwks_url")
	case !first && len(a.Issuers) > 0:
		for _, word := range []string{"algorithms", "issuer", "audience", "max_lifetime", "user_prefix"} {
			if given("auth." + word) {
				wrong("auth."+word, "is set without a key beside it, so that it would not be used; put it into the sections [[%s]]", issuersName)
			}
		}
	}
	a.Issuer.validate("auth.", wrong)
	for n, i := range a.Issuers {
		section := issuerSection(n)
		if len(i.givenKeys()) == 0 {
			wrong(section+"issuer", "has no key to check tokens with: set one of hs256_secret, public_keys and jwks_url beside it")
		}
		i.validate(section, wrong)
	}
	a.validateDifferences(first, wrong)
}

// placeOf returns where a key was given; of one that a section [[auth.issuers]]
// lacks, where the first of its keys was.
func placeOf(key string, sources map[string]Source) Source {
	place, given := sources[key]
	if given || !strings.HasPrefix(key, issuersName+".") {
		return place
	}
	section := key[:strings.LastIndexByte(key, '.')+1]
	for name, source := range sources {
		if strings.HasPrefix(name, section) && (place.Name == "" || source.Line < place.Line || source.Line == place.Line && source.Name < place.Name) {
			place = source
		}
	}
	return place
}

func issuerSection(n int) string { return fmt.Sprintf("%s.%d.", issuersName, n+1) }

// validateDifferences finds issuers that are not told apart. first says whether
// there is one in the section [auth].
func (a *Auth) validateDifferences(first bool, wrong complaint) {
	sections, issuers := []string{}, []Issuer{}
	if first {
		sections, issuers = append(sections, "auth."), append(issuers, a.Issuer)
	}
	for n, i := range a.Issuers {
		sections, issuers = append(sections, issuerSection(n)), append(issuers, i)
	}
	for n, i := range issuers {
		if i.Name == "" && len(issuers) > 1 {
			wrong(sections[n]+"issuer", "is empty; of several issuers each needs the iss that its tokens have")
			continue
		}
		for m, other := range issuers[:n] {
			switch {
			case i.Name == other.Name:
				wrong(sections[n]+"issuer", "is %q, as %sissuer; the iss of a token says which issuer it is of", i.Name, sections[m])
			case i.UserPrefix == other.UserPrefix:
				wrong(sections[n]+"user_prefix", "is %q, as %suser_prefix, so that the users of both would have the same ids; give one of them another", i.UserPrefix, sections[m])
			}
		}
	}
}

// issuersHelp is what config init says of the sections.
const issuersHelp = "Each section [[auth.issuers]] is one more issuer of tokens, with the keys from hs256_secret to user_prefix, and an issuer and a user_prefix of its own. In the environment the second of them is TERTULIA_AUTH_ISSUERS_2_ISSUER and so on."

// issuersExample is a comment in the file.
func issuersExample() string {
	var b strings.Builder
	b.WriteString("\n")
	for _, line := range wrap(issuersHelp, 90) {
		fmt.Fprintf(&b, "# %s\n", line)
	}
	b.WriteString("# [[auth.issuers]]\n# issuer = \"https://id.example\"\n# jwks_url = \"https://id.example/keys\"\n# user_prefix = \"id:\"\n")
	return b.String()
}
