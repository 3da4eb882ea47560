// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package expression computes a claim from what is known of an end user, in
// the Common Expression Language, which Kubernetes has for its claim mappings
// too:
//
//	user.groups.filter(g, g.startsWith("team-")).map(g, g.replace("team-", ""))
//
// The variables are user.subject, user.username, user.email,
// user.email_verified, user.name, user.groups, user.attributes (a map of
// lists) and client.id; the functions are those of the language, with its
// optional values, and those of functions.go. An expression that is wrong is refused when it is compiled,
// with the place of the mistake. What it may cost is bounded, in steps and in
// bytes, whatever it is given.
//
// Package clientregistry compiles, to check; package claims evaluates.
// Nothing is made before the first expression is met.
package expression

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Limits of an expression, of one evaluation and of its result.
const (
	maxSource = 4 << 10  // bytes
	maxCost   = 100_000  // units of the language: a step, or ten bytes
	maxText   = 32 << 10 // bytes of any text that a function of ours makes
	maxValues = 4096     // in the result
	maxResult = 32 << 10 // bytes of text in the result
)

// User is what an expression sees of an end user.
type User struct {
	Subject       string
	Username      string
	Email         string
	EmailVerified bool
	Name          string
	Groups        []string
	Attributes    map[string][]string
}

// Program is a compiled expression. It is safe for concurrent use.
type Program struct{ program cel.Program }

// environment is what expressions are compiled in, made once when the first
// is met.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	texts := cel.ListType(cel.StringType)
	options := []cel.EnvOption{
		cel.Variable("user.subject", cel.StringType),
		cel.Variable("user.username", cel.StringType),
		cel.Variable("user.email", cel.StringType),
		cel.Variable("user.email_verified", cel.BoolType),
		cel.Variable("user.name", cel.StringType),
		cel.Variable("user.groups", texts),
		cel.Variable("user.attributes", cel.MapType(cel.StringType, texts)),
		cel.Variable("client.id", cel.StringType),
		cel.OptionalTypes(),
		cel.ParserExpressionSizeLimit(maxSource),
		cel.ParserRecursionLimit(50),
		cel.ExpressionNodeLimit(2000),
		cel.RegexProgramSizeLimit(1000),
		cel.ASTValidators(cel.ValidateRegexLiterals()),
	}
	return cel.NewEnv(append(options, functions()...)...)
})

// Compile checks an expression. The error says where it is wrong: line and
// column, from 1 on.
func Compile(source string) (*Program, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("the expression has more than %d bytes", maxSource)
	}
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("preparing expressions: %w", err)
	}
	ast, issues := env.Compile(source)
	if problems := issues.Errors(); len(problems) > 0 {
		first := problems[0]
		message, _, _ := strings.Cut(strings.ReplaceAll(first.Message, " (in container '')", ""), "\n")
		return nil, fmt.Errorf("the expression is wrong at %d:%d: %s", max(first.Location.Line(), 1), max(first.Location.Column(), 0)+1, message)
	}
	if !encodable(ast.OutputType()) {
		return nil, fmt.Errorf("the expression gives a %s, which no claim can hold", ast.OutputType())
	}
	program, err := env.Program(ast, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(100))
	if err != nil {
		return nil, fmt.Errorf("the expression cannot be carried out: %w", err)
	}
	return &Program{program}, nil
}

// encodable reports whether values of the type can be JSON.
func encodable(t *cel.Type) bool {
	switch t.Kind() {
	case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.StringKind, types.NullTypeKind, types.DynKind:
		return true
	case types.ListKind:
		return encodable(t.Parameters()[0])
	case types.OpaqueKind:
		return t.TypeName() == types.OptionalType.TypeName() && encodable(t.Parameters()[0])
	case types.MapKind:
		key := t.Parameters()[0].Kind()
		return (key == types.StringKind || key == types.DynKind) && encodable(t.Parameters()[1])
	}
	return false
}

// Evaluate computes the claim, as a value that encodes to JSON; nil means
// that the claim is left out.
func (p *Program) Evaluate(ctx context.Context, user User, client string) (any, error) {
	// No text may be nil: the language has no such lists and maps.
	groups, attributes := user.Groups, user.Attributes
	if groups == nil {
		groups = []string{}
	}
	if attributes == nil {
		attributes = map[string][]string{}
	}
	value, _, err := p.program.ContextEval(ctx, map[string]any{
		"user.subject":        user.Subject,
		"user.username":       user.Username,
		"user.email":          user.Email,
		"user.email_verified": user.EmailVerified,
		"user.name":           user.Name,
		"user.groups":         groups,
		"user.attributes":     attributes,
		"client.id":           client,
	})
	if err != nil {
		return nil, fmt.Errorf("evaluating an expression: %w", err)
	}
	return new(encoder).encode(value)
}

// encoder turns a value of the language into one of Go. Lists may share their
// parts, so what is small in memory may be without end when it is written:
// every part is counted.
type encoder struct{ values, bytes int }

var errTooLarge = errors.New("evaluating an expression: its result is too large for a claim")

func (e *encoder) encode(value ref.Val) (any, error) {
	if e.values++; e.values > maxValues {
		return nil, errTooLarge
	}
	switch v := value.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		return uint64(v), nil
	case types.Double:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, errors.New("evaluating an expression: its result is a number that JSON has not")
		}
		return float64(v), nil
	case types.String:
		return e.text(string(v))
	case *types.Optional:
		if !v.HasValue() {
			return nil, nil
		}
		return e.encode(v.GetValue())
	case traits.Lister:
		list := []any{}
		for i := v.Iterator(); i.HasNext() == types.True; {
			part, err := e.encode(i.Next())
			if err != nil {
				return nil, err
			}
			list = append(list, part)
		}
		return list, nil
	case traits.Mapper:
		object := map[string]any{}
		for i := v.Iterator(); i.HasNext() == types.True; {
			key := i.Next()
			name, ok := key.(types.String)
			if !ok {
				return nil, errors.New("evaluating an expression: its result has a key that is no text")
			}
			if _, err := e.text(string(name)); err != nil {
				return nil, err
			}
			part, err := e.encode(v.Get(key))
			if err != nil {
				return nil, err
			}
			object[string(name)] = part
		}
		return object, nil
	}
	return nil, fmt.Errorf("evaluating an expression: its result is a %s, which no claim can hold", value.Type().TypeName())
}

func (e *encoder) text(text string) (string, error) {
	if e.bytes += len(text); e.bytes > maxResult {
		return "", errTooLarge
	}
	return text, nil
}

// Cache keeps compiled expressions. Its zero value is empty; it is safe for
// concurrent use.
type Cache struct {
	mu       sync.Mutex // guards the field below
	programs map[string]*Program
}

// maxPrograms bounds the cache. Clients that are gone leave theirs behind, so
// a full cache begins anew.
const maxPrograms = 256

// Compile is like the function of that name, and remembers.
func (c *Cache) Compile(source string) (*Program, error) {
	c.mu.Lock()
	program, ok := c.programs[source]
	c.mu.Unlock()
	if ok {
		return program, nil
	}
	program, err := Compile(source)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.programs == nil || len(c.programs) >= maxPrograms {
		c.programs = map[string]*Program{}
	}
	c.programs[source] = program
	return program, nil
}
