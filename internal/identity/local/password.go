// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/tegata/tegata/internal/secret"
)

// Cost is what one password check costs (RFC 9106, section 3.1).
type Cost struct {
	Memory  uint32 // KiB
	Time    uint32 // passes over the memory
	Threads uint8
}

// DefaultCost is 19 MiB and two passes, the first of the equivalent settings
// that the OWASP cheat sheet on password storage names: about 25 ms.
var DefaultCost = Cost{Memory: 19 * 1024, Time: 2, Threads: 1}

// The limits within which a cost is accepted, from the configuration and from
// a stored hash alike: less is no protection, more is an outage.
const (
	minMemory, maxMemory = 8, 1024 * 1024 // KiB
	maxTime, maxThreads  = 64, 64
	saltSize, sumSize    = 16, 32
	maxBcryptCost        = 16 // about 4 s
)

// Validate tells why the cost cannot be used, or returns nil.
func (c Cost) Validate() error {
	switch {
	case c.Memory < minMemory*uint32(max(c.Threads, 1)) || c.Memory > maxMemory:
		return fmt.Errorf("argon2 memory of %d KiB is outside %d × threads to %d", c.Memory, minMemory, maxMemory)
	case c.Time < 1 || c.Time > maxTime:
		return fmt.Errorf("argon2 time of %d is outside 1 to %d", c.Time, maxTime)
	case c.Threads < 1 || c.Threads > maxThreads:
		return fmt.Errorf("argon2 threads of %d are outside 1 to %d", c.Threads, maxThreads)
	}
	return nil
}

// ErrNoHash means that a text is no password hash that can be read here.
var ErrNoHash = errors.New("not a password hash: argon2id ($argon2id$…) and bcrypt ($2a$, $2b$, $2y$) are known")

// Hasher makes and checks password hashes. Each takes much memory, so only as
// many run at once as there are processors; the others wait their turn.
type Hasher struct {
	cost  Cost
	decoy string // a hash that no password has, for users who do not exist
	turns chan struct{}
}

// NewHasher makes a Hasher that hashes new passwords at the given cost.
func NewHasher(cost Cost) (*Hasher, error) {
	if err := cost.Validate(); err != nil {
		return nil, err
	}
	decoy := encode(cost, rand.Text()[:saltSize], make([]byte, sumSize))
	return &Hasher{cost: cost, decoy: decoy, turns: make(chan struct{}, runtime.GOMAXPROCS(0))}, nil
}

// Hash hashes a password in the PHC string format.
func (h *Hasher) Hash(ctx context.Context, password secret.String) (string, error) {
	if err := h.wait(ctx); err != nil {
		return "", err
	}
	defer h.done()
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return encode(h.cost, string(salt), derive(password, string(salt), h.cost, sumSize)), nil
}

// Check reports whether the password is the one of the hash. The error is
// ErrNoHash or the context's.
func (h *Hasher) Check(ctx context.Context, hash string, password secret.String) (bool, error) {
	if len(password.Reveal()) > 4*maxBytes { // of earlier versions
		return false, nil
	}
	if isBcrypt(hash) {
		if err := CheckHash(hash); err != nil {
			return false, err
		}
		if err := h.wait(ctx); err != nil {
			return false, err
		}
		defer h.done()
		// bcrypt reads 72 bytes, so every longer password with this beginning
		// would pass.
		if len(password.Reveal()) > 72 {
			return false, nil
		}
		err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password.Reveal()))
		return err == nil, nil
	}
	cost, salt, sum, err := decode(hash)
	if err != nil {
		return false, err
	}
	if err := h.wait(ctx); err != nil {
		return false, err
	}
	defer h.done()
	return subtle.ConstantTimeCompare(sum, derive(password, salt, cost, uint32(len(sum)))) == 1, nil
}

// Outdated reports whether a hash was made in another way than Hash would.
func (h *Hasher) Outdated(hash string) bool {
	cost, _, sum, err := decode(hash)
	return err != nil || cost != h.cost || len(sum) != sumSize
}

func (h *Hasher) wait(ctx context.Context) error {
	select {
	case h.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Hasher) done() { <-h.turns }

// CheckHash tells why a hash cannot be read, or returns nil.
func CheckHash(hash string) error {
	if isBcrypt(hash) {
		cost, err := bcrypt.Cost([]byte(hash))
		switch {
		case err != nil:
			return ErrNoHash
		case cost > maxBcryptCost:
			return fmt.Errorf("bcrypt cost of %d is above %d", cost, maxBcryptCost)
		}
		return nil
	}
	_, _, _, err := decode(hash)
	return err
}

func isBcrypt(hash string) bool {
	return strings.HasPrefix(hash, "$2a$") || strings.HasPrefix(hash, "$2b$") || strings.HasPrefix(hash, "$2y$")
}

func derive(password secret.String, salt string, cost Cost, size uint32) []byte {
	return argon2.IDKey([]byte(password.Reveal()), []byte(salt), cost.Time, cost.Memory, cost.Threads, size)
}

// encode writes the PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$sum.
func encode(cost Cost, salt string, sum []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		cost.Memory, cost.Time, cost.Threads, b64.EncodeToString([]byte(salt)), b64.EncodeToString(sum))
}

func decode(hash string) (cost Cost, salt string, sum []byte, err error) {
	fields := strings.Split(hash, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return Cost{}, "", nil, ErrNoHash
	}
	var rest string
	if n, _ := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d%s", &cost.Memory, &cost.Time, &cost.Threads, &rest); n != 3 {
		return Cost{}, "", nil, ErrNoHash
	}
	b64 := base64.RawStdEncoding.Strict()
	rawSalt, saltErr := b64.DecodeString(fields[4])
	sum, sumErr := b64.DecodeString(fields[5])
	if saltErr != nil || sumErr != nil || len(rawSalt) < 8 || len(rawSalt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return Cost{}, "", nil, ErrNoHash
	}
	if err := cost.Validate(); err != nil {
		return Cost{}, "", nil, err
	}
	return cost, string(rawSalt), sum, nil
}
