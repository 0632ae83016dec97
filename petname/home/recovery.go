package home

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/petnames-go/petnames/pointer"
)

// formatRecovery returns the content of a recovery file: the next key, always
// encrypted with a passphrase.
func formatRecovery(current pointer.Pointer, next *pointer.Key, passphrase string, work int) ([]byte, error) {
	locked, err := encrypt([]byte(next.Secret()+"\n"), passphrase, work)
	if err != nil {
		return nil, err
	}
	header := fmt.Sprintf(recoveryMagic+"# the next key after %s: keep it away from this computer\n", current)
	return append([]byte(header), locked...), nil
}

// readRecovery returns the key in a recovery file.
func readRecovery(name, passphrase string) (*pointer.Key, error) {
	text, err := readText(name)
	if err != nil {
		return nil, fmt.Errorf("recovery file: %w", err)
	}
	at := strings.Index(text, armor.Header)
	if !strings.HasPrefix(text, recoveryMagic) || at < 0 {
		return nil, fmt.Errorf("recovery file %q: is not one of this version, or damaged", name)
	}
	if passphrase == "" {
		return nil, ErrLocked
	}
	plain, err := decrypt([]byte(text[at:]), passphrase)
	if err != nil {
		return nil, fmt.Errorf("recovery file %q: %w", name, err)
	}
	key, err := pointer.ParseKey(string(plain))
	if err != nil {
		return nil, fmt.Errorf("recovery file %q: %w", name, err)
	}
	return key, nil
}

const recoveryMagic = "# petname recovery 1\n"

// encrypt encrypts with a passphrase; work is the work factor of scrypt, log2, or 0
// for the default of age.
func encrypt(plain []byte, passphrase string, work int) ([]byte, error) {
	passphrase, err := newPassphrase(passphrase)
	if err != nil {
		return nil, err
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	if work != 0 {
		recipient.SetWorkFactor(work)
	}
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), a.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// decrypt decrypts with a passphrase in any of its forms. It fails with
// [ErrPassphrase] when none is right.
func decrypt(locked []byte, passphrase string) ([]byte, error) {
	for _, form := range passphraseForms(passphrase) {
		identity, err := age.NewScryptIdentity(form)
		if err != nil {
			return nil, err
		}
		r, err := age.Decrypt(armor.NewReader(bytes.NewReader(locked)), identity)
		if errors.As(err, new(*age.NoIdentityMatchError)) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("identity key: %w", err)
		}
		return io.ReadAll(io.LimitReader(r, maxKeyFile))
	}
	return nil, ErrPassphrase
}
