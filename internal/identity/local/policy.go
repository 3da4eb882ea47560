// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package local

import (
	"cmp"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/secret"
)

// Policy is what a password must be like. The zero value demands eight
// characters and nothing else.
type Policy struct {
	MinLength    int             // in characters
	Require      []identity.Rule // of HasLowercase, HasUppercase, HasDigit, HasSymbol
	History      int             // so many passwords, with the one until now, do not come back
	TemporaryFor time.Duration
	Lockout      Lockout
	// Site is the names of the service, which no password holds.
	Site []string
}

// Lockout is when an account is closed for a while.
type Lockout struct {
	Failures int // wrong passwords since the last right one; zero: never
	For      time.Duration
}

// The bounds of a password (NIST SP 800-63B, section 3.1.1.2: at least eight
// characters, and at least 64 accepted), and of what a policy may ask.
const (
	minCharacters = 8
	maxCharacters = 128 // that a policy may demand
	maxBytes      = 1024
	maxHistory    = 10 // each is a hash to compute
	maxFailures   = 1000
)

// Classes are the rules that a policy may require, in the order in which they
// are told.
func Classes() []identity.Rule {
	return []identity.Rule{identity.HasLowercase, identity.HasUppercase, identity.HasDigit, identity.HasSymbol}
}

// Validate tells why the policy cannot be used, or returns nil.
func (p Policy) Validate() error {
	switch {
	case p.MinLength < minCharacters || p.MinLength > maxCharacters:
		return fmt.Errorf("min_length of %d is outside %d to %d", p.MinLength, minCharacters, maxCharacters)
	case p.History < 0 || p.History > maxHistory:
		return fmt.Errorf("history of %d is outside 0 to %d", p.History, maxHistory)
	case p.Lockout.Failures < 0 || p.Lockout.Failures > maxFailures:
		return fmt.Errorf("lockout.failures of %d is outside 0 to %d; 0 is off", p.Lockout.Failures, maxFailures)
	}
	for i, rule := range p.Require {
		if !slices.Contains(Classes(), rule) {
			return fmt.Errorf("require: unknown class %.40q; known are lowercase, uppercase, digit, symbol", string(rule))
		}
		if slices.Contains(p.Require[:i], rule) {
			return fmt.Errorf("require: %q is given twice", string(rule))
		}
	}
	return nil
}

// Rules is what the policy demands, as far as a person can be told before
// they have typed.
func (p Policy) Rules() []identity.Flaw {
	rules := []identity.Flaw{{Rule: identity.LongEnough, Limit: max(p.MinLength, minCharacters)}}
	for _, class := range Classes() {
		if slices.Contains(p.Require, class) {
			rules = append(rules, identity.Flaw{Rule: class})
		}
	}
	if p.History > 0 {
		rules = append(rules, identity.Flaw{Rule: identity.Fresh, Limit: p.History})
	}
	return rules
}

// Check returns every rule that a password of the user breaks, but for those
// that take the passwords before it.
func (p Policy) Check(password secret.String, owner identity.User) []identity.Flaw {
	text := password.Reveal()
	var flaws []identity.Flaw
	broken := func(is bool, rule identity.Rule, limit int) {
		if is {
			flaws = append(flaws, identity.Flaw{Rule: rule, Limit: limit})
		}
	}
	least := max(p.MinLength, minCharacters)
	broken(utf8.RuneCountInString(text) < least, identity.LongEnough, least)
	broken(len(text) > maxBytes, identity.ShortEnough, maxBytes)
	for _, class := range Classes() {
		broken(slices.Contains(p.Require, class) && !strings.ContainsFunc(text, inClass(class)), class, 0)
	}
	if len(text) <= maxBytes {
		broken(isCommon(text), identity.Uncommon, 0)
		broken(p.isPersonal(text, owner), identity.Impersonal, 0)
	}
	return flaws
}

// CheckPassword tells why nobody could have the password, or returns nil. It
// is for hashes of a file, for which no policy is known.
func CheckPassword(password secret.String) error {
	switch n := utf8.RuneCountInString(password.Reveal()); {
	case n < minCharacters:
		return fmt.Errorf("the password has %d characters; at least %d are needed", n, minCharacters)
	case len(password.Reveal()) > maxBytes:
		return fmt.Errorf("the password has more than %d bytes", maxBytes)
	}
	return nil
}

// inClass tells the characters of a class. A symbol is whatever is neither a
// letter nor a digit: a space, too.
func inClass(class identity.Rule) func(rune) bool {
	switch class {
	case identity.HasLowercase:
		return unicode.IsLower
	case identity.HasUppercase:
		return unicode.IsUpper
	case identity.HasDigit:
		return unicode.IsDigit
	}
	return func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
}

// minWord is how long a name must be to be looked for: shorter ones stand in
// too many words. Part of a full name has one letter more.
const minWord = 3

func (p Policy) isPersonal(text string, owner identity.User) bool {
	address, _, _ := strings.Cut(owner.Email, "@")
	names := append([]string{owner.Username, address, "tegata", "kubernetes", "kubectl"}, p.Site...)
	for _, part := range strings.Fields(owner.Name) {
		if utf8.RuneCountInString(part) > minWord {
			names = append(names, part)
		}
	}
	text = strings.ToLower(text)
	return slices.ContainsFunc(names, func(name string) bool {
		return utf8.RuneCountInString(name) >= minWord && strings.Contains(text, strings.ToLower(name))
	})
}

// SiteNames are the names that a host has for people: id.example.com is
// example, and the whole.
func SiteNames(host string) []string {
	labels := strings.Split(host, ".")
	names := []string{host}
	for i, label := range labels {
		if i < len(labels)-1 && len(label) > minWord { // not www, not com
			names = append(names, label)
		}
	}
	return names
}

// common is words that passwords are made of most, one a line, of letters
// alone. The list was written for this file.
//
//go:embed common.txt
var common string

// isCommon reports whether a password is guessed among the first millions: a
// common word or two with digits and symbols around and within, a walk over
// the keyboard or the alphabet, or the same few characters again and again.
func isCommon(text string) bool {
	text = strings.ToLower(text)
	if isMonotonous(text) {
		return true
	}
	stripped := strings.TrimFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !strings.ContainsRune(looksLikeLetters, r) })
	tail := strings.TrimRightFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
	for _, core := range []string{text, spoken(stripped), spoken(tail)} {
		core = strings.Map(func(r rune) rune {
			if !unicode.IsLetter(r) {
				return -1
			}
			return r
		}, core)
		if isWords(core) {
			return true
		}
	}
	return false
}

// looksLikeLetters and lettersMeant are what people write for letters.
const (
	looksLikeLetters = "@430!1|5$7+89"
	lettersMeant     = "aaeoiilssttbg"
)

// spoken undoes that.
func spoken(text string) string {
	return strings.Map(func(r rune) rune {
		if at := strings.IndexRune(looksLikeLetters, r); at >= 0 {
			return rune(lettersMeant[at])
		}
		return r
	}, text)
}

// isWords reports whether a text is one or two common words, or one of them
// again and again.
func isWords(core string) bool {
	if core == "" || len(core) > 64 {
		return false
	}
	period := core[:repeats(core)]
	if isWord(core) || isWord(period) {
		return true
	}
	for i := minWord; i <= len(core)-minWord; i++ {
		if isWord(core[:i]) && isWord(core[i:]) {
			return true
		}
	}
	return false
}

// isWord looks into the list, whose lines are sorted.
func isWord(word string) bool {
	if len(word) < minWord {
		return false
	}
	low, high := 0, len(common)
	for low < high {
		middle := low + (high-low)/2
		begin := strings.LastIndexByte(common[:middle], '\n') + 1
		end := begin + strings.IndexByte(common[begin:], '\n')
		switch line := common[begin:end]; cmp.Compare(line, word) {
		case 0:
			return true
		case -1:
			low = end + 1
		default:
			high = begin
		}
	}
	return false
}

// repeats is the length of the beginning that makes up all of a text when it
// is repeated.
func repeats(text string) int {
	for n := 1; n <= len(text)/2; n++ {
		if strings.HasPrefix(strings.Repeat(text[:n], len(text)/n+1), text) {
			return n
		}
	}
	return len(text)
}

// keyboards are the keys in their order, in rows and in columns.
var keyboards = []string{
	"abcdefghijklmnopqrstuvwxyz", "1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm",
	"!@#$%^&*()", "1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik,", "9ol.",
}

// isMonotonous reports whether three of four steps from one character to the
// next go nowhere, or to a neighbour; or whether up to four characters are
// repeated.
func isMonotonous(text string) bool {
	if repeats(text) <= 4 && text != "" {
		return true
	}
	runes := []rune(text)
	steps := 0
	for i := 1; i < len(runes); i++ {
		pair, back := string(runes[i-1:i+1]), string([]rune{runes[i], runes[i-1]})
		near := func(row string) bool { return strings.Contains(row, pair) || strings.Contains(row, back) }
		if runes[i] == runes[i-1] || slices.ContainsFunc(keyboards, near) {
			steps++
		}
	}
	return len(runes) > 1 && 4*steps >= 3*(len(runes)-1)
}
