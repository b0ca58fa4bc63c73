// SPDX-License-Identifier: Apache-2.0

package mutants

// Which lists of the image that a machine started from are taken over, and for how long.
var imaging = []mutation{
	{"image-builder-revoked", "daemon/reconcile/image.go", "s.Keys[grounds.CertificateID(c)].Revoked != nil", "false",
		"lists of an image count, and stay, by a certificate that is revoked"},
	{"image-builder-banned", "daemon/reconcile/image.go", "s.Blacklist.Names(c)", "false",
		"lists of an image count, and stay, by a certificate that the kernel refuses"},
	{"image-other-body", "daemon/image/image.go", " || !bytes.Equal(content, body)", "",
		"a list of an image is taken that has a denied content, or is of another build"},
	{"image-of-strangers", "daemon/image/image.go", "cert, err := digestlist.VerifyPKCS7(content, sig, l.certs)", "cert, err := l.certs[0], errors.Join(nil, nil)\n\t_ = sig",
		"a list of an image is taken that a stranger signed"},
	{"image-not-taken", "daemon/build/compose.go", "w.Image.Find(c.Name, w.Body); found {", "w.Image.Find(c.Name, w.Body); found && false {",
		"no list of an image is taken"},
	{"image-signer-unnamed", "daemon/build/compose.go", "c.Wide, c.Signer, c.File = append(w.out[:0], l.File...), l.Wide, l.Signer, l.Digest()", "c.Wide, c.Signer, c.File = append(w.out[:0], l.File...), l.Wide, b.Signer(), l.Digest()",
		"a list that the builder signed stays when the certificate does not count any more"},
	{"image-lists-blamed", "daemon/executor/look.go", "if x.State.Unsettled && x.Hooks.Lent != nil {", "if false {",
		"lists of an image that a crash left are called tampering"},
}
