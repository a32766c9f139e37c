// Package keys holds everything that guards a data key: the key types themselves, the identity of a site, the signed
// documents by which sites share a bucket's key, the list of whom this site trusts, and the Ring that makes and opens
// key encryption keys.
//
// The bytes are those of docs/FORMAT.md sections 2 and 7. Nothing in here reaches a network or a database: a Ring is given
// a Store (the metadata store) and a System (the system bucket on the backend).
//
// Three sources are kept apart on purpose. What may be believed comes from the TrustList, which this site signed itself.
// What has been believed comes from the Store, and stays. What is merely claimed comes from the System, where the
// storage operator can write whatever he likes; it is checked against the first and can never override the second.
package keys
