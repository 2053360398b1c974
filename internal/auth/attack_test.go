package auth

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tertulia/chat"
)

// attack is a token, the issuer that it is tried on, and what a client is
// told; an empty code means that it is taken.
type attack struct {
	name   string
	issuer Issuer
	token  string
	want   chat.Code
}

// The attacks on tokens that are known, and the edges of each rule
// (protocol.md §2.6).
func TestAttacks(t *testing.T) {
	var all []attack
	for _, list := range [][]attack{
		algorithmAttacks(t), headerAttacks(t), keyAttacks(t), timeAttacks(t), claimAttacks(t), textAttacks(t), writingAttacks(t),
	} {
		all = append(all, list...)
	}
	names := make(map[string]bool)
	for _, c := range all {
		if names[c.name] {
			t.Errorf("%s is there twice", c.name)
		}
		names[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			a := authenticator(t, Config{Issuers: []Issuer{c.issuer}})
			id, err := a.Verify(t.Context(), c.token)
			if got := codeOf(err); got != c.want {
				t.Errorf("Verify = %v, code %q, want code %q", err, got, c.want)
			}
			if taken := c.want == ""; (id != Identity{}) != taken {
				t.Errorf("Verify = %+v, want an identity: %v", id, taken)
			}
			if err != nil && len(c.token) > 40 && strings.Contains(err.Error(), c.token[len(c.token)-20:]) {
				t.Errorf("the error %q has the token in it", err)
			}
		})
	}
	if len(all) < 60 {
		t.Errorf("%d attacks, want 60 or more", len(all))
	}
}

func algorithmAttacks(t *testing.T) []attack {
	k := keyring()
	list := []attack{
		{"HS256 as it should be", byHMAC(), hs(t, nil, nil), ""},
		{"RS256 as it should be", byRSA(t), rs(t, nil, nil), ""},
		{"ES256 as it should be", Issuer{KeyFiles: []string{pemFile(t, k.ec.Public())}}, forge(t, object{"alg": "ES256"}, good(), jwt.SigningMethodES256, k.ec), ""},
		{"EdDSA as it should be", Issuer{KeyFiles: []string{pemFile(t, k.ed.Public())}}, forge(t, object{"alg": "EdDSA"}, good(), jwt.SigningMethodEdDSA, k.ed), ""},
		{"public key as the secret, DER", byRSA(t), forge(t, object{"alg": "HS256"}, good(), jwt.SigningMethodHS256, pkix(t, k.rsa.Public())), chat.Unauthenticated},
		{"public key as the secret, PEM", byRSA(t), forge(t, object{"alg": "HS256"}, good(), jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix(t, k.rsa.Public())})), chat.Unauthenticated},
		{"RS256 where a secret is shared", byHMAC(), rs(t, nil, nil), chat.Unauthenticated},
		{"an algorithm that is not pinned", Issuer{KeyFiles: []string{pemFile(t, k.rsa.Public())}, Algorithms: []string{RS256}}, forge(t, object{"alg": "ES256"}, good(), jwt.SigningMethodES256, k.ec), chat.Unauthenticated},
		{"RS256 signature that says ES256", Issuer{KeyFiles: []string{pemFile(t, k.rsa.Public(), k.ec.Public())}}, forge(t, object{"alg": "ES256"}, good(), jwt.SigningMethodRS256, k.rsa), chat.Unauthenticated},
		{"alg is a number", byHMAC(), hs(t, object{"alg": 256}, nil), chat.Unauthenticated},
		{"alg is a list", byHMAC(), hs(t, object{"alg": []string{"HS256"}}, nil), chat.Unauthenticated},
		{"no alg", byHMAC(), hs(t, object{"alg": nil}, nil), chat.Unauthenticated},
		{"alg twice", byHMAC(), forge(t, `{"alg":"HS256","alg":"none"}`, good(), jwt.SigningMethodHS256, []byte(secret)), chat.Unauthenticated},
		{"ALG in capitals", byHMAC(), forge(t, `{"ALG":"HS256"}`, good(), jwt.SigningMethodHS256, []byte(secret)), chat.Unauthenticated},
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "null", "HS256 ", "hs256", "HS1", "RS1", "../none"} {
		for name, issuer := range map[string]Issuer{"secret": byHMAC(), "key": byRSA(t)} {
			list = append(list,
				attack{fmt.Sprintf("alg %q without a signature, %s", alg, name), issuer, forge(t, object{"alg": alg}, good(), nil, nil), chat.Unauthenticated},
				attack{fmt.Sprintf("alg %q with a signature by HS256, %s", alg, name), issuer, hs(t, object{"alg": alg}, nil), chat.Unauthenticated})
		}
	}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		list = append(list, attack{"the secret with " + method.Alg(), byHMAC(), forge(t, object{"alg": method.Alg()}, good(), method, []byte(secret)), chat.Unauthenticated})
	}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodRS384, jwt.SigningMethodRS512, jwt.SigningMethodPS256, jwt.SigningMethodPS512} {
		list = append(list, attack{"the key with " + method.Alg(), byRSA(t), forge(t, object{"alg": method.Alg()}, good(), method, k.rsa), chat.Unauthenticated})
	}
	return list
}

func headerAttacks(t *testing.T) []attack {
	k := keyring()
	embedded := object{"kty": "RSA", "n": encode(k.rsaOther.N.Bytes()), "e": "AQAB"}
	forged := func(header object) string {
		return forge(t, with(object{"alg": "RS256"}, header), good(), jwt.SigningMethodRS256, k.rsaOther)
	}
	list := []attack{
		{"key of a stranger in jwk", byRSA(t), forged(object{"jwk": embedded}), chat.Unauthenticated},
		{"key of a stranger at jku", byRSA(t), forged(object{"jku": "https://evil.example/keys"}), chat.Unauthenticated},
		{"certificate of a stranger at x5u", byRSA(t), forged(object{"x5u": "https://evil.example/cert"}), chat.Unauthenticated},
		{"certificate of a stranger in x5c", byRSA(t), forged(object{"x5c": []string{"MIIB"}}), chat.Unauthenticated},
		{"unencoded payload", byRSA(t), rs(t, object{"b64": false, "crit": []string{"b64"}}, nil), chat.Unauthenticated},
	}
	for _, name := range []string{"jwk", "jku", "x5u", "x5c", "crit"} {
		for what, value := range map[string]string{"empty": `""`, "null": "null", "an object": "{}"} {
			header := fmt.Sprintf(`{"alg":"HS256",%q:%s}`, name, value)
			list = append(list, attack{fmt.Sprintf("own signature beside %s, %s", name, what), byHMAC(), forge(t, header, good(), jwt.SigningMethodHS256, []byte(secret)), chat.Unauthenticated})
		}
	}
	for _, kid := range []string{"../../../../dev/null", "/dev/null", "' OR '1'='1", "x' UNION SELECT 'key", "\x00", "|id", "https://evil.example/k", strings.Repeat("k", 4000)} {
		list = append(list,
			attack{fmt.Sprintf("kid %.20q, empty secret", kid), byHMAC(), forge(t, object{"alg": "HS256", "kid": kid}, good(), jwt.SigningMethodHS256, []byte{}), chat.Unauthenticated},
			attack{fmt.Sprintf("kid %.20q, own secret", kid), byHMAC(), hs(t, object{"kid": kid}, nil), ""})
	}
	for typ, want := range map[string]chat.Code{"JWT": "", "jwt": "", "at+jwt": "", "application/at+jwt": "", "JOSE": chat.Unauthenticated, "dpop+jwt": chat.Unauthenticated, "logout+jwt": chat.Unauthenticated, "JWT ": chat.Unauthenticated, "application/": chat.Unauthenticated} {
		list = append(list, attack{fmt.Sprintf("typ %q", typ), byHMAC(), hs(t, object{"typ": typ}, nil), want})
	}
	return append(list,
		attack{"no typ", byHMAC(), hs(t, object{"typ": nil}, nil), ""},
		attack{"typ is a list", byHMAC(), hs(t, object{"typ": []string{"JWT"}}, nil), chat.Unauthenticated},
		attack{"kid is a number", byHMAC(), hs(t, object{"kid": 1}, nil), chat.Unauthenticated})
}

func keyAttacks(t *testing.T) []attack {
	k := keyring()
	token := hs(t, nil, nil)
	first, last := token[:strings.LastIndexByte(token, '.')+1], token[strings.LastIndexByte(token, '.')+1:]
	return []attack{
		{"another secret", byHMAC(), forge(t, object{"alg": "HS256"}, good(), jwt.SigningMethodHS256, []byte(secret+"x")), chat.Unauthenticated},
		{"an empty secret", byHMAC(), forge(t, object{"alg": "HS256"}, good(), jwt.SigningMethodHS256, []byte{}), chat.Unauthenticated},
		{"another RSA key", byRSA(t), forge(t, object{"alg": "RS256"}, good(), jwt.SigningMethodRS256, k.rsaOther), chat.Unauthenticated},
		{"no signature", byHMAC(), first, chat.Unauthenticated},
		{"half a signature", byHMAC(), first + last[:20], chat.Unauthenticated},
		{"signature and more", byHMAC(), token + "AAAA", chat.Unauthenticated},
		{"signature of other claims", byHMAC(), strings.TrimSuffix(forge(t, object{"alg": "HS256", "typ": "JWT"}, with(good(), object{"sub": "2"}), nil, nil), ".") + "." + last, chat.Unauthenticated},
		{"zero signature of ES256", Issuer{KeyFiles: []string{pemFile(t, k.ec.Public())}}, strings.TrimSuffix(forge(t, object{"alg": "ES256"}, good(), nil, nil), ".") + "." + encode(make([]byte, 64)), chat.Unauthenticated},
		{"the second of two keys in a file", Issuer{KeyFiles: []string{pemFile(t, k.rsaOther.Public(), k.rsa.Public())}}, rs(t, nil, nil), ""},
	}
}

func timeAttacks(t *testing.T) []attack {
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	token := func(claims object) string { return hs(t, nil, claims) }
	short := byHMAC()
	short.MaxLifetime = time.Hour
	old := object{"iat": at(-2 * time.Hour), "nbf": nil}
	return []attack{
		{"expired within the leeway", byHMAC(), token(with(old, object{"exp": at(-59 * time.Second)})), ""},
		{"expired by the leeway", byHMAC(), token(with(old, object{"exp": at(-60 * time.Second)})), chat.TokenExpired},
		{"expired long ago", byHMAC(), token(with(old, object{"exp": at(-time.Hour)})), chat.TokenExpired},
		{"expired, and for others", byHMAC(), token(with(old, object{"exp": at(-time.Hour), "aud": "other"})), chat.Unauthenticated},
		{"expired, and forged", byHMAC(), forge(t, object{"alg": "HS256"}, with(good(), object{"exp": 1, "iat": 0}), jwt.SigningMethodHS256, []byte("x")), chat.Unauthenticated},
		{"no exp", byHMAC(), token(object{"exp": nil}), chat.Unauthenticated},
		{"exp is null", byHMAC(), forge(t, object{"alg": "HS256"}, `{"iss":"https://id.example","aud":"chat","sub":"1","exp":null}`, jwt.SigningMethodHS256, []byte(secret)), chat.Unauthenticated},
		{"exp is text", byHMAC(), token(object{"exp": "4102444800"}), chat.Unauthenticated},
		{"exp is below zero", byHMAC(), token(object{"exp": -1}), chat.Unauthenticated},
		{"exp is past all years", byHMAC(), token(object{"exp": 1e18}), chat.Unauthenticated},
		{"exp is past all numbers", byHMAC(), forge(t, object{"alg": "HS256"}, `{"iss":"https://id.example","aud":"chat","sub":"1","exp":1e999}`, jwt.SigningMethodHS256, []byte(secret)), chat.Unauthenticated},
		{"exp is a fraction", byHMAC(), token(object{"exp": float64(at(time.Hour)) - 0.5}), ""},
		{"not yet, within the leeway", byHMAC(), token(object{"nbf": at(60 * time.Second)}), ""},
		{"not yet, past the leeway", byHMAC(), token(object{"nbf": at(61 * time.Second)}), chat.Unauthenticated},
		{"no nbf", byHMAC(), token(object{"nbf": nil}), ""},
		{"issued in the future, within the leeway", byHMAC(), token(object{"iat": at(60 * time.Second)}), ""},
		{"issued in the future, past the leeway", byHMAC(), token(object{"iat": at(61 * time.Second)}), chat.Unauthenticated},
		{"a day", byHMAC(), token(object{"exp": at(24 * time.Hour)}), ""},
		{"a second more than a day", byHMAC(), token(object{"exp": at(24*time.Hour + time.Second)}), chat.Unauthenticated},
		{"ten years", byHMAC(), token(object{"exp": at(87600 * time.Hour)}), chat.Unauthenticated},
		{"ten years, half of them gone", byHMAC(), token(object{"iat": at(-43800 * time.Hour), "exp": at(43800 * time.Hour)}), chat.Unauthenticated},
		{"longer than is configured", short, token(object{"exp": at(time.Hour + time.Second)}), chat.Unauthenticated},
		{"no iat, a day", byHMAC(), token(object{"iat": nil, "exp": at(24 * time.Hour)}), ""},
		{"no iat, two days", byHMAC(), token(object{"iat": nil, "exp": at(48 * time.Hour)}), chat.Unauthenticated},
		{"over before it began", byHMAC(), token(object{"iat": at(time.Minute), "exp": at(30 * time.Second)}), chat.Unauthenticated},
	}
}

func claimAttacks(t *testing.T) []attack {
	token := func(claims object) string { return hs(t, nil, claims) }
	raw := func(claims string) string {
		text := fmt.Sprintf(`{"iss":"https://id.example","aud":"chat","exp":%d,%s}`, now.Add(time.Hour).Unix(), claims)
		return forge(t, object{"alg": "HS256"}, text, jwt.SigningMethodHS256, []byte(secret))
	}
	anyone := Issuer{Secret: []byte(secret)}
	return []attack{
		{"another issuer", byHMAC(), token(object{"iss": "https://evil.example"}), chat.Unauthenticated},
		{"the issuer and a slash", byHMAC(), token(object{"iss": "https://id.example/"}), chat.Unauthenticated},
		{"no issuer", byHMAC(), token(object{"iss": nil}), chat.Unauthenticated},
		{"a list of issuers", byHMAC(), token(object{"iss": []string{"https://id.example"}}), chat.Unauthenticated},
		{"no issuer where none is asked for", anyone, token(object{"iss": nil, "aud": nil}), ""},
		{"any issuer where none is asked for", anyone, token(object{"iss": "x", "aud": []string{"y", "z"}}), ""},
		{"another audience", byHMAC(), token(object{"aud": "billing"}), chat.Unauthenticated},
		{"no audience", byHMAC(), token(object{"aud": nil}), chat.Unauthenticated},
		{"an empty audience", byHMAC(), token(object{"aud": []string{}}), chat.Unauthenticated},
		{"an audience that begins alike", byHMAC(), token(object{"aud": "chats"}), chat.Unauthenticated},
		{"one of several audiences", byHMAC(), token(object{"aud": []string{"billing", "chat"}}), ""},
		{"an audience that is a number", byHMAC(), token(object{"aud": 1}), chat.Unauthenticated},
		{"an audience with a number", byHMAC(), token(object{"aud": []any{"chat", 1}}), chat.Unauthenticated},
		{"no sub", byHMAC(), token(object{"sub": nil}), chat.Unauthenticated},
		{"an empty sub", byHMAC(), token(object{"sub": ""}), chat.Unauthenticated},
		{"a blank sub", byHMAC(), token(object{"sub": "  "}), chat.Unauthenticated},
		{"sub is a number", byHMAC(), token(object{"sub": 1}), chat.Unauthenticated},
		{"sub is null", byHMAC(), raw(`"sub":null`), chat.Unauthenticated},
		{"sub is a list", byHMAC(), token(object{"sub": []string{"1"}}), chat.Unauthenticated},
		{"sub with a line break", byHMAC(), token(object{"sub": "1\n2"}), chat.Unauthenticated},
		{"sub with NUL", byHMAC(), token(object{"sub": "1\x00"}), chat.Unauthenticated},
		{"sub of 64 bytes", byHMAC(), token(object{"sub": strings.Repeat("a", 64)}), ""},
		{"sub of 65 bytes", byHMAC(), token(object{"sub": strings.Repeat("a", 65)}), chat.Unauthenticated},
		{"sub in invalid UTF-8", byHMAC(), raw("\"sub\":\"\xff\""), chat.Unauthenticated},
		{"sub is half a surrogate", byHMAC(), raw(`"sub":"\ud800"`), chat.Unauthenticated},
		{"sub twice", byHMAC(), raw(`"sub":"1","sub":"2"`), chat.Unauthenticated},
		{"sub twice, once escaped", byHMAC(), raw(`"sub":"1","s\u0075b":"2"`), chat.Unauthenticated},
		{"exp twice", byHMAC(), raw(`"sub":"1","exp":4102444800`), chat.Unauthenticated},
		{"an unknown claim twice", byHMAC(), raw(`"sub":"1","x":1,"x":2`), chat.Unauthenticated},
		{"a name twice further in", byHMAC(), raw(`"sub":"1","x":{"y":1,"y":2}`), chat.Unauthenticated},
		{"SUB in capitals", byHMAC(), raw(`"SUB":"1"`), chat.Unauthenticated},
		{"both SUB and sub", byHMAC(), raw(`"sub":"1","SUB":"2"`), ""},
		{"name with a control character", byHMAC(), token(object{"name": "Juan\x1b[2J"}), chat.Unauthenticated},
		{"name of 129 bytes", byHMAC(), token(object{"name": strings.Repeat("a", 129)}), chat.Unauthenticated},
		{"name is a number", byHMAC(), token(object{"name": 1}), chat.Unauthenticated},
		{"jti of 257 bytes", byHMAC(), token(object{"jti": strings.Repeat("j", 257)}), chat.Unauthenticated},
		{"jti is a number", byHMAC(), token(object{"jti": 1}), chat.Unauthenticated},
	}
}

func textAttacks(t *testing.T) []attack {
	token := hs(t, nil, nil)
	parts := strings.Split(token, ".")
	bad := func(name, text string) attack { return attack{name, byHMAC(), text, chat.Unauthenticated} }
	list := []attack{
		bad("nothing", ""), bad("one dot", "."), bad("two dots", ".."), bad("three dots", "..."),
		bad("two parts", parts[0]+"."+parts[1]), bad("four parts", token+"."), bad("five parts, as if encrypted", token+".a.b"),
		bad("ten thousand dots", strings.Repeat(".", 10_000)), bad("eight thousand dots", strings.Repeat(".", 8_000)),
		bad("a header of a megabyte", strings.Repeat("A", 1<<20)+"."+parts[1]+"."+parts[2]),
		bad("claims of a megabyte", hs(t, nil, object{"x": strings.Repeat("a", 1<<20)})),
		bad("a byte more than 8 KiB", strings.Repeat("A", MaxTokenBytes+1-len(token))+token),
		bad("padding", parts[0]+"=."+parts[1]+"."+parts[2]), bad("padding behind", token+"="),
		bad("spare bits in the signature", spareBits(token)),
		bad("no base64 in the header", "!!!."+parts[1]+"."+parts[2]), bad("one letter for a header", "A."+parts[1]+"."+parts[2]),
		bad("one letter for claims", parts[0]+".A."+parts[2]), bad("one letter for a signature", parts[0]+"."+parts[1]+".A"),
		bad("the alphabet of other base64", parts[0]+"."+parts[1]+".+/+/"),
		bad("letters that look alike", strings.Replace(token, "e", "е", 1)), bad("NUL", token+"\x00"),
		bad("the scheme in front", "Bearer "+token), bad("quotes", `"`+token+`"`), bad("percent signs", strings.Replace(token, ".", "%2E", 1)),
	}
	for _, space := range []string{" ", "\t", "\n", "\r\n", "\u00a0"} {
		list = append(list,
			bad(fmt.Sprintf("%q before", space), space+token), bad(fmt.Sprintf("%q behind", space), token+space),
			bad(fmt.Sprintf("%q in the signature", space), token[:len(token)-5]+space+token[len(token)-5:]))
	}
	return list
}

// spareBits sets a bit of the last letter that stands for none of the bytes,
// so that a lax reader finds the same signature in another token.
func spareBits(token string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(letters, token[len(token)-1])
	return token[:len(token)-1] + letters[last^1:last^1+1]
}

// A signature over something that is not strict JSON is no help.
func writingAttacks(t *testing.T) []attack {
	var list []attack
	for name, text := range map[string]string{
		"empty": "", "null": "null", "a list": "[]", "text": `"x"`, "half": "{", "two objects": "{}{}", "a comma too many": `{"sub":"1",}`,
		"single quotes": "{'sub':'1'}", "a comment": `{"sub":"1"/**/}`, "a byte order mark": "\xef\xbb\xbf{}", "a thousand brackets": strings.Repeat("[", 1000),
	} {
		list = append(list,
			attack{"claims: " + name, byHMAC(), forge(t, object{"alg": "HS256"}, text, jwt.SigningMethodHS256, []byte(secret)), chat.Unauthenticated},
			attack{"header: " + name, byHMAC(), forge(t, text, good(), jwt.SigningMethodHS256, []byte(secret)), chat.Unauthenticated})
	}
	return list
}

// What is taken is what the token says, and nothing else.
func TestIdentityOfToken(t *testing.T) {
	for _, test := range []struct {
		name   string
		claims object
		want   Identity
	}{
		{"all claims", nil, Identity{Principal: chat.Principal{User: chat.User{ID: "1", Name: "Juan"}},
			ExpiresAt: now.Add(time.Hour + Leeway), IssuedAt: now, TokenID: "t1", Issuer: "https://id.example"}},
		{"preferred_username", object{"name": nil, "preferred_username": "juan", "jti": nil}, Identity{Principal: chat.Principal{User: chat.User{ID: "1", Name: "juan"}},
			ExpiresAt: now.Add(time.Hour + Leeway), IssuedAt: now, Issuer: "https://id.example"}},
		{"no name at all", object{"name": " ", "jti": nil, "sub": "ana"}, Identity{Principal: chat.Principal{User: chat.User{ID: "ana", Name: "ana"}},
			ExpiresAt: now.Add(time.Hour + Leeway), IssuedAt: now, Issuer: "https://id.example"}},
		{"no iat: as early as it would have been taken", object{"iat": nil}, Identity{Principal: chat.Principal{User: chat.User{ID: "1", Name: "Juan"}},
			ExpiresAt: now.Add(time.Hour + Leeway), IssuedAt: now.Add(-23*time.Hour - Leeway), TokenID: "t1", Issuer: "https://id.example"}},
	} {
		a := authenticator(t, Config{Issuers: []Issuer{byHMAC()}})
		if got, err := a.Verify(t.Context(), hs(t, nil, test.claims)); err != nil || got != test.want {
			t.Errorf("%s: %+v, %v, want %+v", test.name, got, err, test.want)
		}
	}
}

func TestNoIssuers(t *testing.T) {
	a := authenticator(t, Config{})
	if _, err := a.Verify(t.Context(), hs(t, nil, nil)); codeOf(err) != chat.Unauthenticated {
		t.Errorf("Verify without issuers: %v, want code %s", err, chat.Unauthenticated)
	}
}

// Whatever comes, the answer is an identity that the secret vouches for, or a
// refusal.
func FuzzVerify(f *testing.F) {
	a := authenticator(f, Config{Issuers: []Issuer{byHMAC()}})
	f.Add(hs(f, nil, nil))
	f.Add(hs(f, object{"crit": []string{"x"}}, nil))
	f.Add(forge(f, object{"alg": "none"}, good(), nil, nil))
	f.Add(forge(f, `{"alg":"HS256","alg":"none"}`, `{"sub":"1","sub":"2"}`, jwt.SigningMethodHS256, []byte(secret)))
	f.Add(hs(f, nil, object{"aud": []string{"chat"}, "exp": 1e300}))
	f.Add("..")
	f.Add("e30.e30.AA")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := a.Verify(t.Context(), text)
		if err != nil {
			if code := codeOf(err); code != chat.Unauthenticated && code != chat.TokenExpired || id != (Identity{}) {
				t.Fatalf("Verify(%q) = %+v, %v", text, id, err)
			}
			return
		}
		signed, signature := text[:strings.LastIndexByte(text, '.')], text[strings.LastIndexByte(text, '.')+1:]
		raw, decodeErr := base64.RawURLEncoding.DecodeString(signature)
		if decodeErr != nil || jwt.SigningMethodHS256.Verify(signed, raw, []byte(secret)) != nil {
			t.Fatalf("Verify(%q) = %+v without a good signature", text, id)
		}
	})
}
