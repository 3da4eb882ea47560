// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package clientregistry

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// subjectName is the one name that a client's certificate must have (RFC
// 8705, section 2.1.2).
type subjectName struct {
	kind  string // dn, dns, uri, email, ip
	value string // of a dn: as canonicalName writes it
}

// parseSubjectName reads a distinguished name, or dns:, uri:, email: or ip:
// and an alternative name.
func parseSubjectName(text string) (subjectName, error) {
	kind, value, ok := strings.Cut(text, ":")
	var good bool
	switch {
	case ok && kind == "dns":
		value = strings.ToLower(value)
		good = value != "" && !strings.ContainsAny(value, "*/:@ ")
	case ok && kind == "uri":
		u, err := url.Parse(value)
		good = err == nil && u.Scheme != ""
	case ok && kind == "email":
		good = strings.Count(value, "@") == 1
	case ok && kind == "ip":
		ip := net.ParseIP(value)
		value, good = ip.String(), ip != nil
	default:
		name, err := parseDistinguishedName(text)
		if err != nil {
			return subjectName{}, fmt.Errorf("TLS subject %.100q: %w; write it as openssl x509 -noout -subject -nameopt RFC2253 does, or as dns:, uri:, email: or ip: and a name", text, err)
		}
		return subjectName{"dn", name}, nil
	}
	if !good {
		return subjectName{}, fmt.Errorf("TLS subject %.100q holds no name of the kind %s", text, kind)
	}
	return subjectName{kind, value}, nil
}

// matches reports whether the certificate has the name. Names are compared as
// they are, and without wildcards: a certificate for many names is none for
// one client.
func (n subjectName) matches(certificate *x509.Certificate) bool {
	switch n.kind {
	case "dns":
		return slices.ContainsFunc(certificate.DNSNames, func(name string) bool { return strings.ToLower(name) == n.value })
	case "uri":
		return slices.ContainsFunc(certificate.URIs, func(u *url.URL) bool { return u.String() == n.value })
	case "email":
		return slices.Contains(certificate.EmailAddresses, n.value)
	case "ip":
		return slices.ContainsFunc(certificate.IPAddresses, func(ip net.IP) bool { return ip.String() == n.value })
	}
	var sequence pkix.RDNSequence
	rest, err := asn1.Unmarshal(certificate.RawSubject, &sequence)
	if err != nil || len(rest) > 0 {
		return false
	}
	name, err := canonicalName(sequence)
	return err == nil && name == n.value
}

// attributeTypes are the short names of RFC 4514, section 3, and those that
// openssl has beside them.
var attributeTypes = map[string]string{
	"CN": "2.5.4.3", "SERIALNUMBER": "2.5.4.5", "C": "2.5.4.6", "L": "2.5.4.7", "ST": "2.5.4.8", "STREET": "2.5.4.9",
	"O": "2.5.4.10", "OU": "2.5.4.11", "DC": "0.9.2342.19200300.100.1.25", "UID": "0.9.2342.19200300.100.1.1",
	"EMAILADDRESS": "1.2.840.113549.1.9.1",
}

// canonicalName writes a name so that equal names have equal texts: the parts
// from the root on, each type as its number, each value with its length.
func canonicalName(sequence pkix.RDNSequence) (string, error) {
	var parts []string
	for _, set := range sequence {
		var attributes []string
		for _, attribute := range set {
			value, ok := attribute.Value.(string)
			if !ok {
				return "", errors.New("a value of the name is no text")
			}
			attributes = append(attributes, canonicalAttribute(attribute.Type.String(), value))
		}
		slices.Sort(attributes) // it is a set
		parts = append(parts, strings.Join(attributes, "+"))
	}
	return strings.Join(parts, ","), nil
}

func canonicalAttribute(number, value string) string {
	return fmt.Sprintf("%s=%d:%s", number, len(value), value)
}

// parseDistinguishedName reads the text form of a name (RFC 4514, section 3),
// which begins with the last part, and returns it in its canonical form.
func parseDistinguishedName(text string) (string, error) {
	var parts []string
	for rest, more := text, true; more; {
		var attributes []string
		for next := byte('+'); next == '+'; {
			name, after, ok := strings.Cut(rest, "=")
			if !ok {
				return "", errors.New("it is no distinguished name")
			}
			number, err := attributeNumber(strings.TrimSpace(name))
			if err != nil {
				return "", err
			}
			var value string
			if value, next, rest, err = attributeValue(after); err != nil {
				return "", err
			}
			attributes = append(attributes, canonicalAttribute(number, value))
			more = next != 0
		}
		slices.Sort(attributes)
		parts = append(parts, strings.Join(attributes, "+"))
	}
	slices.Reverse(parts)
	return strings.Join(parts, ","), nil
}

func attributeNumber(name string) (string, error) {
	if number, ok := attributeTypes[strings.ToUpper(name)]; ok {
		return number, nil
	}
	if strings.Trim(name, "0123456789.") == "" && strings.Contains(name, ".") {
		return name, nil
	}
	return "", fmt.Errorf("it has the attribute %.40q, which is not known", name)
}

// attributeValue reads a value up to the comma or plus sign after it, which
// it returns, or up to the end, for which it returns 0.
func attributeValue(text string) (value string, next byte, rest string, err error) {
	text = strings.TrimLeft(text, " ")
	if strings.HasPrefix(text, "#") {
		return "", 0, "", errors.New("it has a value in hexadecimal, which is not taken")
	}
	var b strings.Builder
	spaces := 0 // at the end, which were not escaped and do not count
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == ',' || c == '+':
			return finish(b.String(), spaces, c, text[i+1:])
		case strings.IndexByte("\"<>;", c) >= 0 || c == 0:
			return "", 0, "", fmt.Errorf("it has the character %q, which must be escaped", c)
		case c != '\\':
			b.WriteByte(c)
			if spaces++; c != ' ' {
				spaces = 0
			}
			continue
		case i+2 < len(text) && isHex(text[i+1:i+3]):
			raw, _ := hex.DecodeString(text[i+1 : i+3])
			b.Write(raw)
			i += 2
		case i+1 < len(text) && strings.IndexByte(" \"#+,;<=>\\", text[i+1]) >= 0:
			i++
			b.WriteByte(text[i])
		default:
			return "", 0, "", errors.New("it has a backslash that escapes nothing")
		}
		spaces = 0
	}
	return finish(b.String(), spaces, 0, "")
}

func finish(value string, spaces int, next byte, rest string) (string, byte, string, error) {
	value = value[:len(value)-spaces]
	if value == "" || !utf8.ValidString(value) {
		return "", 0, "", errors.New("it has a value that is empty or not UTF-8")
	}
	return value, next, rest, nil
}

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdefABCDEF") == "" }
