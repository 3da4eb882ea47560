// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secondfactor"
)

const factorColumns = `id, subject, kind, name, sealed_secret, counter, created_at, used_at`

// SecondFactors implements [secondfactor.Storage].
func (i *Issuer) SecondFactors(ctx context.Context, subject oidc.Subject) ([]secondfactor.Factor, error) {
	factors := []secondfactor.Factor{}
	err := i.db.each(ctx, func(row scanner) error {
		var f secondfactor.Factor
		var created, used int64
		err := row.Scan(&f.ID, &f.Subject, &f.Kind, &f.Name, &f.SealedSecret, &f.Counter, &created, &used)
		f.CreatedAt, f.UsedAt = fromMillis(created), fromMillis(used)
		factors = append(factors, f)
		return err
	}, `SELECT `+factorColumns+` FROM second_factors WHERE issuer = $1 AND subject = $2 ORDER BY created_at, id`, i.id, string(subject))
	return factors, err
}

func (i *Issuer) addFactor(tx *tx, f secondfactor.Factor) error {
	return tx.exec(`INSERT INTO second_factors (issuer, `+factorColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		i.id, f.ID, string(f.Subject), string(f.Kind), f.Name, f.SealedSecret, f.Counter, millis(f.CreatedAt), millis(f.UsedAt))
}

// besidesTheSheet counts what the subject has.
func (i *Issuer) besidesTheSheet(tx *tx, subject oidc.Subject) (count int, err error) {
	err = tx.row(`SELECT COUNT(*) FROM second_factors WHERE issuer = $1 AND subject = $2 AND kind <> $3`,
		i.id, string(subject), string(secondfactor.KindRecovery)).Scan(&count)
	return count, err
}

// holdUser keeps other changes of the user's factors waiting.
func (i *Issuer) holdUser(tx *tx, subject oidc.Subject) (epoch int64, disabled bool, err error) {
	var off int
	err = tx.row(`SELECT epoch, disabled FROM users WHERE issuer = $1 AND subject = $2 FOR NO KEY UPDATE`, i.id, string(subject)).
		Scan(&epoch, &off)
	return epoch, off == 1, err
}

// EnrolSecondFactor implements [secondfactor.Storage].
func (i *Issuer) EnrolSecondFactor(ctx context.Context, e secondfactor.Enrolment) (first bool, err error) {
	err = i.db.write(ctx, func(tx *tx) error {
		epoch, disabled, err := i.holdUser(tx, e.Factor.Subject)
		if errors.Is(err, sql.ErrNoRows) || err == nil && (epoch != e.Epoch || disabled) {
			return secondfactor.ErrOvertaken
		}
		if err != nil {
			return err
		}
		has, err := i.besidesTheSheet(tx, e.Factor.Subject)
		switch {
		case err != nil:
			return err
		case has > 0 && e.OnlyFirst:
			return secondfactor.ErrOvertaken
		case has >= e.Most:
			return secondfactor.ErrTooMany
		}
		if first = has == 0; first {
			if err := i.replaceSheet(tx, e.Sheet); err != nil {
				return err
			}
		}
		return i.addFactor(tx, e.Factor)
	})
	return first && err == nil, err
}

func (i *Issuer) replaceSheet(tx *tx, sheet secondfactor.Factor) error {
	if err := tx.exec(`DELETE FROM second_factors WHERE issuer = $1 AND subject = $2 AND kind = $3`,
		i.id, string(sheet.Subject), string(secondfactor.KindRecovery)); err != nil {
		return err
	}
	return i.addFactor(tx, sheet)
}

// ReplaceRecoverySheet implements [secondfactor.Storage].
func (i *Issuer) ReplaceRecoverySheet(ctx context.Context, sheet secondfactor.Factor) error {
	return i.db.write(ctx, func(tx *tx) error {
		if _, _, err := i.holdUser(tx, sheet.Subject); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		has, err := i.besidesTheSheet(tx, sheet.Subject)
		if err == nil && has == 0 {
			return secondfactor.ErrNotFound
		}
		if err != nil {
			return err
		}
		return i.replaceSheet(tx, sheet)
	})
}

// UseSecondFactor implements [secondfactor.Storage].
func (i *Issuer) UseSecondFactor(ctx context.Context, f secondfactor.Factor, counter int64) error {
	return i.db.write(ctx, func(tx *tx) error {
		used, err := tx.changed(`UPDATE second_factors SET sealed_secret = $1, counter = $2, used_at = $3
			WHERE issuer = $4 AND subject = $5 AND id = $6 AND counter = $7`,
			f.SealedSecret, f.Counter, millis(f.UsedAt), i.id, string(f.Subject), f.ID, counter)
		if err == nil && used == 0 {
			return secondfactor.ErrWrong
		}
		return err
	})
}

// RemoveSecondFactor implements [secondfactor.Storage].
func (i *Issuer) RemoveSecondFactor(ctx context.Context, subject oidc.Subject, id string) error {
	return i.db.write(ctx, func(tx *tx) error {
		if _, _, err := i.holdUser(tx, subject); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		removed, err := tx.changed(`DELETE FROM second_factors WHERE issuer = $1 AND subject = $2 AND id = $3`, i.id, string(subject), id)
		if err == nil && removed == 0 {
			return secondfactor.ErrNotFound
		}
		if err != nil {
			return err
		}
		has, err := i.besidesTheSheet(tx, subject)
		if err != nil || has > 0 {
			return err
		}
		return tx.exec(`DELETE FROM second_factors WHERE issuer = $1 AND subject = $2`, i.id, string(subject))
	})
}

// ResetSecondFactors forgets all of a user's second factors, and ends all
// sessions and grants that stand on them. It returns how many there were, or
// identity.ErrNotFound without such a user.
func (i *Issuer) ResetSecondFactors(ctx context.Context, subject oidc.Subject, now time.Time) (removed int, err error) {
	err = i.db.write(ctx, func(tx *tx) error {
		_, _, err := i.holdUser(tx, subject)
		if errors.Is(err, sql.ErrNoRows) {
			return mustChange(0, nil)
		}
		if err != nil {
			return err
		}
		if removed, err = i.besidesTheSheet(tx, subject); err != nil {
			return err
		}
		if err := tx.exec(`DELETE FROM second_factors WHERE issuer = $1 AND subject = $2`, i.id, string(subject)); err != nil {
			return err
		}
		return i.endEverything(tx, subject, now)
	})
	return removed, err
}

// RaiseSession implements [session.Storage].
func (i *Issuer) RaiseSession(ctx context.Context, s session.Session, oldSecretHash string) error {
	return i.db.write(ctx, func(tx *tx) error {
		raised, err := tx.changed(`UPDATE sessions SET secret_hash = $1, methods = $2, used_at = $3, expires_at = $4
			WHERE issuer = $5 AND id = $6 AND secret_hash = $7`,
			s.SecretHash, strings.Join(s.Methods, " "), millis(s.UsedAt), millis(s.ExpiresAt), i.id, s.ID, oldSecretHash)
		if err == nil && raised == 0 {
			return session.ErrNotFound
		}
		return err
	})
}
