// Package backup makes, checks, keeps and reads back snapshots of a site's metadata store: one file each, sealed to the site and to its
// recovery identities, and signed by the site. Whoever keeps the file learns its size and when it was made, and can make nobody accept
// another one.
//
// # The file, version 1
//
// All integers are big-endian.
//
//	file     := "cofre backup 1\n" || sealed || manifest || length of manifest (4) || "cofrebak"
//	sealed   := an age file (C2SP age.md) with one mlkem768x25519 stanza for each recipient, of gzip(lines)
//	lines    := {"begin": {...}} LF  row LF ...  {"end": {...}} LF
//	row      := one JSON object with one name, the kind of the row: see wire.go
//	manifest := a DSSE document, type "application/vnd.cofre.backup.v1+json", signed by the site:
//	            {"version": 1, "id": hex(16), "site": site id, "created": RFC 3339, "rows": n, "size": n, "sha256": hex}
//	            size and sha256 are those of the magic line and sealed together
//
// Begin repeats the manifest's id, site and time; end counts the rows of each kind. Byte strings and strings that may hold any bytes are
// base64. `age -d` with the identity's key and gunzip give the lines.
//
// # Why it is read in this order
//
// The signature comes last, since a backup is written in one go to places that take no second try. A reader looks at the end first, then
// reads the file once for the digest alone: nothing that the site did not sign is ever decrypted, inflated or parsed. Then it reads it
// again to open and count everything, and once more to load it; each reading computes the digest anew, so that whoever keeps the file
// cannot exchange it in between, and what is loaded is committed only when the last one was right.
package backup
