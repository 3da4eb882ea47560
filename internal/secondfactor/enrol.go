// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package secondfactor

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/secret"
)

// ErrName means that a factor cannot have that name.
var ErrName = errors.New("the name of a second factor has at most 60 characters, and no control characters among them")

// maxName is in characters.
const maxName = 60

// Newcomer is a factor that a person wants to add.
type Newcomer struct {
	User identity.User
	Name string
	// OnlyFirst refuses it if the person has one already.
	OnlyFirst bool
}

// AddTOTP keeps the key of an app that has shown its code. With a person's
// first factor come the recovery codes, which are never shown again.
func (f *Factors) AddTOTP(ctx context.Context, n Newcomer, key TOTP, code secret.String) (codes []secret.String, how Methods, err error) {
	step, ok := key.Check(code, f.Now(), 0)
	if !ok {
		return nil, nil, ErrWrong
	}
	one := f.factor(n, KindTOTP)
	one.Counter = step // it is used up
	if err := f.sealInto(&one, keptTOTP{key.Text().Reveal()}); err != nil {
		return nil, nil, err
	}
	codes, err = f.enrol(ctx, n, one)
	return codes, Methods{"otp"}, err
}

// URI is what an app scans: the key under the names of the issuer and of the
// user.
func (f *Factors) URI(key TOTP, user identity.User) secret.String {
	return key.URI(f.name, user.Username)
}

func (f *Factors) factor(n Newcomer, kind Kind) Factor {
	now := f.Now()
	return Factor{
		ID: strings.ToLower(rand.Text()), Subject: n.User.Subject, Kind: kind, Name: strings.TrimSpace(n.Name), CreatedAt: now, UsedAt: now,
	}
}

// enrol keeps a new factor, and the sheet if it is the first.
func (f *Factors) enrol(ctx context.Context, n Newcomer, one Factor) ([]secret.String, error) {
	if err := CheckName(n.Name); err != nil {
		return nil, err
	}
	paper, codes, err := f.newSheet(n.User)
	if err != nil {
		return nil, err
	}
	first, err := f.Storage.EnrolSecondFactor(ctx, Enrolment{
		Factor: one, Sheet: paper, Epoch: n.User.Epoch, OnlyFirst: n.OnlyFirst, Most: maxFactors,
	})
	if err != nil || !first {
		return nil, err
	}
	return codes, nil
}

// RenewRecoveryCodes makes a new sheet; the one before is good for nothing
// any more.
func (f *Factors) RenewRecoveryCodes(ctx context.Context, user identity.User) ([]secret.String, error) {
	paper, codes, err := f.newSheet(user)
	if err != nil {
		return nil, err
	}
	return codes, f.Storage.ReplaceRecoverySheet(ctx, paper)
}

func (f *Factors) newSheet(user identity.User) (Factor, []secret.String, error) {
	codes := NewRecoveryCodes()
	var kept sheet
	for _, code := range codes {
		kept.Hashes = append(kept.Hashes, HashRecoveryCode(code))
	}
	one := f.factor(Newcomer{User: user}, KindRecovery)
	one.UsedAt = time.Time{}
	err := f.sealInto(&one, kept)
	return one, codes, err
}

// CheckName tells why a factor cannot be called so, or returns nil.
func CheckName(name string) error {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return ErrName
	}
	return nil
}
