package chat

// Principal is who asks for something.
type Principal struct {
	// User is the user who acts. It is empty only for a service that acts in
	// its own name.
	User User
	// Service says that the back end of an application asks. It may do
	// everything, and what it does as User is recorded as that user's doing.
	Service bool
}
