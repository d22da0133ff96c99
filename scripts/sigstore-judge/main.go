// Judges a Sigstore bundle with sigstore-go, for tests only: an implementation that shares no code with Custody.
//
//	sigstore-judge BUNDLE TRUSTED_ROOT SHA256 key PUBLIC_KEY_PEM
//	sigstore-judge BUNDLE TRUSTED_ROOT SHA256 unlogged-key PUBLIC_KEY_PEM
//	sigstore-judge BUNDLE TRUSTED_ROOT SHA256 identity NAME ISSUER
package main

import (
	"crypto"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

type always struct{ signature.Verifier }

func (always) ValidAtTime(time.Time) bool { return true }

type withKey struct {
	root.TrustedMaterial
	key root.TrustedMaterial
}

func (w withKey) PublicKeyVerifier(hint string) (root.TimeConstrainedVerifier, error) {
	return w.key.PublicKeyVerifier(hint)
}

func judge(args []string) error {
	if len(args) < 5 || args[3] == "identity" && len(args) < 6 {
		return fmt.Errorf("too few arguments")
	}
	b, err := bundle.LoadJSONFromPath(args[0])
	if err != nil {
		return err
	}
	trusted, err := root.NewTrustedRootFromPath(args[1])
	if err != nil {
		return err
	}
	digest, err := hex.DecodeString(args[2])
	if err != nil {
		return err
	}
	options := []verify.VerifierOption{verify.WithTransparencyLog(1)}
	if args[3] == "unlogged-key" {
		options = []verify.VerifierOption{verify.WithNoObserverTimestamps()}
	} else if len(trusted.TimestampingAuthorities()) > 0 {
		options = append(options, verify.WithSignedTimestamps(1))
	} else {
		options = append(options, verify.WithCurrentTime())
	}
	var material root.TrustedMaterial = trusted
	var identity verify.PolicyOption
	if args[3] != "identity" {
		pem, err := os.ReadFile(args[4])
		if err != nil {
			return err
		}
		public, err := cryptoutils.UnmarshalPEMToPublicKey(pem)
		if err != nil {
			return err
		}
		verifier, err := signature.LoadDefaultVerifier(public)
		if err != nil {
			verifier, err = signature.LoadVerifier(public, crypto.SHA256)
		}
		if err != nil {
			return err
		}
		key := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
			return always{verifier}, nil
		})
		material = withKey{trusted, key}
		identity = verify.WithKey()
	} else {
		certificate, err := verify.NewShortCertificateIdentity(args[5], "", args[4], "")
		if err != nil {
			return err
		}
		identity = verify.WithCertificateIdentity(certificate)
		if len(trusted.CTLogs()) > 0 {
			options = append(options, verify.WithSignedCertificateTimestamps(1))
		}
	}
	verifier, err := verify.NewVerifier(material, options...)
	if err != nil {
		return err
	}
	_, err = verifier.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest), identity))
	return err
}

func main() {
	if err := judge(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("verified")
}
