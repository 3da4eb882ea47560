// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package secondfactor

import (
	"context"
	"errors"
	"slices"

	"github.com/tegata/tegata/internal/secret"
)

// Methods are how somebody proved a second factor, by the names of RFC 8176.
type Methods []string

// CheckCode takes the one-time password of any of the person's apps.
func (f *Factors) CheckCode(ctx context.Context, has Set, code secret.String) (Methods, error) {
	// All are opened first: one that cannot be read stops the login, whether
	// or not another would do.
	apps := has.of(KindTOTP)
	keys := make([]TOTP, len(apps))
	for i, app := range apps {
		var err error
		if keys[i], err = f.openTOTP(app); err != nil {
			return nil, err
		}
	}
	for i, app := range apps {
		if step, ok := keys[i].Check(code, f.Now(), app.Counter); ok {
			return Methods{"otp"}, f.use(ctx, app, step)
		}
	}
	return nil, ErrWrong
}

// CheckRecoveryCode takes a code of the person's sheet.
func (f *Factors) CheckRecoveryCode(ctx context.Context, has Set, code secret.String) (Methods, error) {
	for _, one := range has.of(KindRecovery) {
		var kept sheet
		if err := f.open(one, &kept); err != nil {
			return nil, err
		}
		at := FindRecoveryCode(code, kept.Hashes)
		if at < 0 {
			continue
		}
		kept.Hashes = slices.Delete(kept.Hashes, at, at+1)
		if err := f.sealInto(&one, kept); err != nil {
			return nil, err
		}
		return Methods{"otp"}, f.use(ctx, one, one.Counter+1)
	}
	return nil, ErrWrong
}

// use writes down that a factor was used. If another proof came first, this
// one is none.
func (f *Factors) use(ctx context.Context, one Factor, counter int64) error {
	before := one.Counter
	one.Counter, one.UsedAt = counter, f.Now()
	return f.Storage.UseSecondFactor(ctx, one, before)
}

// keptTOTP is how the secret of an app is kept.
type keptTOTP struct {
	Key string `json:"key"` // in base32
}

// sheet is how recovery codes are kept.
type sheet struct {
	Hashes []string `json:"hashes"`
}

func (f *Factors) openTOTP(one Factor) (TOTP, error) {
	var kept keptTOTP
	if err := f.open(one, &kept); err != nil {
		return TOTP{}, err
	}
	totp, err := ParseTOTP(secret.New(kept.Key))
	if err != nil {
		return TOTP{}, errors.New("the second factor " + one.ID + " holds no key")
	}
	return totp, nil
}
