// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/spf13/cobra"
)

// convertedDocument is what format convert prints for programs.
type convertedDocument struct {
	Path    string `json:"path"`
	Format  string `json:"format"`
	Entries int    `json:"entries"`
	Signed  string `json:"signed,omitzero"` // pkcs7, pgp
	Size    int    `json:"size"`
}

func convertCommand(a *cli.App) *cobra.Command {
	var to, key, cert string
	var strip bool
	cmd := &cobra.Command{
		Annotations: a.Prints(convertedDocument{}),
		Use:         "convert FILE OUTPUT",
		Short:       "Convert a list to another format, sign it or strip its signature",
		Long: `Convert reads a list file or a package file (.rpm) and writes a list to OUTPUT, in the
format given by --to or by the name of OUTPUT. It can make an rpm list only from a
package or from another rpm list, because an rpm list is the package's header. Convert
keeps the signature of a list whose bytes do not change, and copies a package's
signature to its rpm list, as digest-cache-tools do. --strip removes the signature;
--sign-key and --sign-cert add one that a kernel verifies (PKCS#7).`,
		Example: "  digestctl format convert bash-5.2-1.x86_64.rpm rpm-bash-5.2-1.x86_64\n" +
			"  digestctl format convert rpm-bash-5.2-1.x86_64 tlv-bash --sign-key k.pem --sign-cert c.pem",
		Args: cli.Exactly("FILE", "OUTPUT"),
		RunE: offline(a, func(_ context.Context, args []string) error {
			if (key == "") != (cert == "") {
				return cli.Usage(fmt.Errorf("--sign-key and --sign-cert need each other"), "digestctl format convert")
			}
			if to == "" {
				to = userfile.FormatOf(args[1], nil)
			}
			if to != digestlist.FormatTLV && to != digestlist.FormatRPM {
				return cli.Usage(fmt.Errorf("--to is %q: want tlv or rpm", to), "digestctl format convert")
			}
			in, err := readConvertible(args[0])
			if err != nil {
				return err
			}
			out, err := convert(in, to)
			if err != nil {
				return fmt.Errorf("cannot convert %s: %w", args[0], err)
			}
			if strip || key != "" {
				out.Sig = nil
			}
			if key != "" {
				if out.Sig, err = signBy(out.Content, key, cert); err != nil {
					return err
				}
				out.Kind = digestlist.SigPKCS7
			}
			return writeConverted(a, args[1], out)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "write `FORMAT`: tlv or rpm; default: according to the name of OUTPUT")
	f.BoolVar(&strip, "strip", false, "leave the signature out")
	f.StringVar(&key, "sign-key", "", "sign with the private key in `FILE` (PEM, PKCS#8)")
	f.StringVar(&cert, "sign-cert", "", "use the certificate in `FILE` for it (PEM or DER)")
	cmd.ValidArgsFunction = completeFiles
	return cmd
}

func writeConverted(a *cli.App, path string, l userfile.List) error {
	doc := convertedDocument{Path: path, Format: l.Format}
	err := digestlist.Walk(l.Format, l.Content, func(digestlist.Algo, []byte, []byte) error { doc.Entries++; return nil })
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	data := l.Content
	if l.Sig != nil {
		doc.Signed = kindName(l.Kind)
		data = digestlist.AppendSignature(nil, l.Content, l.Sig, l.Kind)
	}
	doc.Size = len(data)
	// Whole or not at all, and never in place of a list that the kernel reads.
	tmp, err := os.CreateTemp(filepath.Dir(path), ".digestctl-")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err == nil {
		err = os.Link(tmp.Name(), path)
	}
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("cannot write %s: it exists already; remove it first", path)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if a.JSON {
		return a.UI.JSON(doc)
	}
	a.UI.Say(terminal.Good, "%s: %s, %s", path, doc.Format, terminal.Count(doc.Entries, "entry", "entries"))
	signed := doc.Signed
	if signed == "" {
		signed = "none"
	}
	a.UI.Fact("signature", "%s", signed)
	return nil
}

// readConvertible reads a list, or the header of a package with its signature.
func readConvertible(path string) (l userfile.List, err error) {
	file, l, err := userfile.ReadList(path)
	if file == nil || !bytes.HasPrefix(file, []byte(packageMagic)) {
		if err != nil && file != nil {
			err = fmt.Errorf("cannot read list %s: %w", path, err)
		}
		return l, err
	}
	if l, err = packageList(file); err != nil {
		return l, fmt.Errorf("cannot read package %s: %w", path, err)
	}
	return l, nil
}

// packageMagic begins a package file, as the 96 bytes of its lead (rpm
// documentation, "RPM V4 package format").
const (
	packageMagic = "\xed\xab\xee\xdb"
	leadSize     = 96
)

// packageList takes the header and its signature out of a package file.
func packageList(file []byte) (l userfile.List, err error) {
	next := func(at int) (blob []byte, end int, err error) {
		const intro = 16
		if at > len(file)-intro || !bytes.HasPrefix(file[at:], []byte(header.Magic)) {
			return nil, 0, fmt.Errorf("at byte %d: there is no header", at)
		}
		index, data := binary.BigEndian.Uint32(file[at+8:]), binary.BigEndian.Uint32(file[at+12:])
		size := int64(intro) + 16*int64(index) + int64(data)
		if size > int64(len(file)-at) {
			return nil, 0, fmt.Errorf("at byte %d: the header has %d bytes, but only %d are left", at, size, len(file)-at)
		}
		return file[at+8 : at+int(size)], at + int(size), nil
	}
	signatures, end, err := next(leadSize)
	if err != nil {
		return l, err
	}
	blob, _, err := next((end + 7) &^ 7)
	if err != nil {
		return l, err
	}
	h, err := header.Parse(blob)
	if err != nil {
		return l, err
	}
	region, err := h.Immutable()
	if err != nil {
		return l, err
	}
	l = userfile.List{Format: digestlist.FormatRPM, Content: digestlist.AppendRPM(nil, region)}
	if s, err := header.Parse(signatures); err == nil {
		if all := s.Signatures(); len(all) > 0 {
			l.Sig, l.Kind = all[0].Data, digestlist.SigPGP
		}
	}
	return l, nil
}

// convert makes a list of the other format. The signature stays as long as it is
// about the same bytes.
func convert(l userfile.List, to string) (userfile.List, error) {
	switch {
	case l.Format == to:
		return l, nil
	case to == digestlist.FormatRPM:
		return l, errors.New("a tlv list does not contain the package header that an rpm list needs")
	case len(l.Content) < len(header.Magic):
		return l, errors.New("it is too short to be an rpm list")
	}
	h, err := header.ParseImmutable(l.Content[len(header.Magic):])
	if err != nil {
		return l, err
	}
	body, _, err := digestlist.AppendPackageTLV(nil, h)
	return userfile.List{Format: to, Content: body}, err
}

// signBy makes a PKCS#7 signature by a key in a file.
func signBy(body []byte, keyFile, certFile string) ([]byte, error) {
	keys, err := readKeys([]string{certFile})
	if err != nil {
		return nil, err
	}
	if len(keys.certs) != 1 {
		return nil, fmt.Errorf("%s has %d certificates; exactly one is needed", certFile, len(keys.certs))
	}
	f, err := userfile.Open(keyFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := userfile.ReadAtMost(f, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read key %s: %w", keyFile, err)
	}
	key, err := loadKey(data, keys.certs[0])
	if err != nil {
		return nil, fmt.Errorf("cannot use key %s: %w", keyFile, err)
	}
	defer key.Close()
	return digestlist.SignPKCS7(body, keys.certs[0], key)
}

func loadKey(data []byte, cert *x509.Certificate) (signer.Signer, error) {
	if block, _ := pem.Decode(data); block == nil {
		return nil, errors.New("not PEM")
	}
	return signer.Load(data, cert.PublicKey)
}
