// Package introduce signs and verifies the statements that introduce a contact to
// another: the introduction of one pointer to one recipient, its retraction, the
// names that are shared with one recipient, and the question and the denial that
// prove that an introducer signed a wrong key. Sign an [Introduction] with its method
// Sign, and verify a received statement with [Open]:
//
//	i := introduce.Introduction{To: alice, About: bob, Suggested: "Bob W", Expires: end}
//	signed, err := i.Sign(identity, nil, time.Now())
//	send(signed.Bytes())
//	…
//	signed, err = introduce.Open(received)
//	if i, ok := signed.Introduction(); ok {
//		err = i.CheckTime(time.Now())
//	}
//
// [Open] parses and verifies bytes once, where they enter, and a [Statement] is
// verified: later functions take that type and not bytes. A
// statement names its signer and its recipient under the signature, so that it
// cannot be reused as a statement to another recipient. A signature proves the
// signer, not the content. In the recipient's book (package petname) an introduction
// is a suggestion; it names no contact.
//
// # Statements
//
// A statement is canonical CBOR (RFC 8949 §4.2.1; what is accepted re-encodes
// to the same bytes), with absent what is empty:
//
//	statement = {
//	  1: kind                1 introduction, 2 retraction, 3 edges, 4 question, 5 denial
//	  2: by                  pointer of the signer
//	  3: to                  pointer of the recipient; absent for a denial, which has none
//	  4: made                ms since 1970, by the clock of the signer
//	  ? 5: id                bytes .size 16: of the introduction, or of the retracted one
//	  ? 6: about             pointer: the introduced pointer; in a denial the denied key
//	  ? 7: next              the commitment to the next key of the introduced contact
//	  ? 8: suggested         text, 1 to 64 bytes: a name for it
//	  ? 9: note              text, 1 to 512 bytes; in a question reserved: accepted, not read
//	  ? 10: expires          ms since 1970
//	  ? 11: edges            {label: [pointer, commitment or null]}
//	  ? 12: version          of the edges: higher in each newer list
//	  ? 13: subject          bytes: the introduction in question, signed, or the transcript of a
//	                         mutual one; in a denial its hash
//	  ? 14: succession       from earlier pointers of the contact to the introduced pointer
//	  15: signature          over "petnames/statement/v1\0" ‖ the statement without it
//	}
//
// Texts are untrusted: clean them before they are shown.
//
// In a file or a mail a statement stands as a PEM block (RFC 7468) of type
// PETNAMES STATEMENT: see [Armor].
//
// Sources: SPKI/SDSI (RFC 2693) for names that are local to their issuer;
// Briar's introduction protocol for what an introducer may and may not do.
package introduce
