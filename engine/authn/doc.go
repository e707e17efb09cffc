// Package authn turns credentials into an identity.
//
//	PAP   user and password -> Remembered (a keyed hash, quick) or Verify (a slow hash,
//	      in the Pool) -> Identity
//	MAB   the endpoint's MAC -> Identity, which names and proves nothing
//
// Passwords are kept as PHC strings, argon2id or bcrypt. The slow hash runs once: what
// it verified is remembered under a hash whose key lives as long as the
// process, over the stored hash and the password, so that a changed hash, a removed user
// or a restart forgets it. A wrong password is never remembered.
package authn
