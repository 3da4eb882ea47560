// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package authenticator is a passkey in software, for tests: the browser and
// the authenticator behind it in one (Web Authentication, sections 5 and 6).
// It signs with ES256, and can be made to lie about anything that it signs.
package authenticator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
)

// Passkey is one, and what it says. Change a field, and the next answer has
// it.
type Passkey struct {
	Origin    string
	RPID      string
	Challenge string // empty: the one that was asked
	Type      string // of the client data; empty: the right one
	Counter   uint32 // grows with each answer unless Still is set
	Still     bool

	NotPresent, NotVerified, BackedUp, WrongSignature bool
	ID                                                []byte
	Handle                                            []byte // empty: none in the answer

	key *ecdsa.PrivateKey
}

// New makes a passkey for the origin https://HOST.
func New(host string) *Passkey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	id := make([]byte, 16)
	rand.Read(id)
	return &Passkey{Origin: "https://" + host, RPID: host, ID: id, key: key}
}

var encoding = base64.RawURLEncoding

func (p *Passkey) clientData(kind, asked string) []byte {
	if p.Challenge != "" {
		asked = p.Challenge
	}
	if p.Type != "" {
		kind = p.Type
	}
	data, err := json.Marshal(map[string]any{"type": kind, "challenge": asked, "origin": p.Origin, "crossOrigin": false})
	if err != nil {
		panic(err)
	}
	return data
}

// authenticatorData is section 6.1.
func (p *Passkey) authenticatorData(attested bool) []byte {
	hash := sha256.Sum256([]byte(p.RPID))
	var flags byte
	for bit, set := range map[int]bool{0: !p.NotPresent, 2: !p.NotVerified, 3: p.BackedUp, 4: p.BackedUp, 6: attested} {
		if set {
			flags |= 1 << bit
		}
	}
	if !p.Still {
		p.Counter++
	}
	data := binary.BigEndian.AppendUint32(append(hash[:], flags), p.Counter)
	if !attested {
		return data
	}
	// Section 6.5.2: the model, the ID and the public key (RFC 9052, section 7).
	data = append(data, make([]byte, 16)...)
	data = append(binary.BigEndian.AppendUint16(data, uint16(len(p.ID))), p.ID...) //nolint:gosec // it is short
	point, err := p.key.PublicKey.Bytes()                                          // 4, x, y
	if err != nil {
		panic(err)
	}
	data = append(data, 0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21)
	data = append(data, bytesOf(point[1:33])...)
	data = append(data, 0x22)
	return append(data, bytesOf(point[33:])...)
}

// bytesOf is a byte string in CBOR (RFC 8949, section 3.1).
func bytesOf(b []byte) []byte {
	if len(b) < 256 {
		return append([]byte{0x58, byte(len(b))}, b...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{0x59}, uint16(len(b))), b...) //nolint:gosec // it is short
}

func textOf(s string) []byte { return append([]byte{0x60 | byte(len(s))}, s...) }

func (p *Passkey) answer(response map[string]any) (string, error) {
	id := encoding.EncodeToString(p.ID)
	body, err := json.Marshal(map[string]any{
		"id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "", "clientExtensionResults": map[string]any{}, "response": response,
	})
	return string(body), err
}

// Create answers the options of a registration.
func (p *Passkey) Create(options string) (string, error) {
	var asked struct {
		Challenge string `json:"challenge"`
		User      struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	err := json.Unmarshal([]byte(options), &asked)
	if err != nil {
		return "", fmt.Errorf("reading the options: %w", err)
	}
	if p.Handle, err = encoding.DecodeString(asked.User.ID); err != nil {
		return "", fmt.Errorf("reading the user handle: %w", err)
	}
	object := slices.Concat([]byte{0xa3}, textOf("fmt"), textOf("none"), textOf("attStmt"), []byte{0xa0}, textOf("authData"), bytesOf(p.authenticatorData(true)))
	return p.answer(map[string]any{
		"clientDataJSON": encoding.EncodeToString(p.clientData("webauthn.create", asked.Challenge)), "attestationObject": encoding.EncodeToString(object),
		"transports": []string{"internal"},
	})
}

// Get answers the options of a login.
func (p *Passkey) Get(options string) (string, error) {
	var asked struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal([]byte(options), &asked); err != nil {
		return "", fmt.Errorf("reading the options: %w", err)
	}
	client, data := p.clientData("webauthn.get", asked.Challenge), p.authenticatorData(false)
	hash := sha256.Sum256(client)
	signed := sha256.Sum256(append(slices.Clone(data), hash[:]...))
	if p.WrongSignature {
		signed[0] ^= 1
	}
	signature, err := ecdsa.SignASN1(rand.Reader, p.key, signed[:])
	if err != nil {
		return "", err
	}
	response := map[string]any{
		"clientDataJSON": encoding.EncodeToString(client), "authenticatorData": encoding.EncodeToString(data), "signature": encoding.EncodeToString(signature),
	}
	if len(p.Handle) > 0 {
		response["userHandle"] = encoding.EncodeToString(p.Handle)
	}
	return p.answer(response)
}

// Clone is the same passkey once more.
func (p *Passkey) Clone() *Passkey {
	copied := *p
	return &copied
}
