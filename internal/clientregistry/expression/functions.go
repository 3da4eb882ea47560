// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// functions are those that the language itself has not, by the names that
// Kubernetes has for them. The language's own library of texts is not used:
// its functions make a text first and count its bytes afterwards.
//
//	text.lowerAscii()  text.upperAscii()  text.trim()
//	text.replace(old, new)  text.split(separator)  list.join(separator)
func functions() []cel.EnvOption {
	text, texts := cel.StringType, cel.ListType(cel.StringType)
	return []cel.EnvOption{
		method("lowerAscii", text, text, func(args []string) ref.Val { return types.String(mapASCII(args[0], 'A', 'Z', 'a'-'A')) }),
		method("upperAscii", text, text, func(args []string) ref.Val { return types.String(mapASCII(args[0], 'a', 'z', 'A'-'a')) }),
		method("trim", text, text, func(args []string) ref.Val { return types.String(strings.TrimSpace(args[0])) }),
		method("replace", text, text, func(args []string) ref.Val {
			// strings.Count is len+1 for the empty text.
			growth := strings.Count(args[0], args[1]) * len(args[2])
			if len(args[0])+growth > maxText {
				return types.NewErr("replace makes a text of more than %d bytes", maxText)
			}
			return types.String(strings.ReplaceAll(args[0], args[1], args[2]))
		}, text, text),
		method("split", text, texts, func(args []string) ref.Val {
			if len(args[0]) > maxText {
				return types.NewErr("split of a text of more than %d bytes", maxText)
			}
			return types.NewStringList(types.DefaultTypeAdapter, strings.Split(args[0], args[1]))
		}, text),
		cel.Function("join", cel.MemberOverload("tegata_join", []*cel.Type{texts, text}, text, cel.BinaryBinding(join))),
	}
}

// method declares a function that is called on a text, with more texts.
func method(name string, on, result *cel.Type, do func([]string) ref.Val, more ...*cel.Type) cel.EnvOption {
	return cel.Function(name, cel.MemberOverload("tegata_"+name, append([]*cel.Type{on}, more...), result,
		cel.FunctionBinding(func(values ...ref.Val) ref.Val {
			texts := make([]string, len(values))
			for n, value := range values {
				text, ok := value.(types.String)
				if !ok {
					return types.MaybeNoSuchOverloadErr(value)
				}
				texts[n] = string(text)
			}
			return do(texts)
		})))
}

func mapASCII(text string, from, to rune, by rune) string {
	return strings.Map(func(r rune) rune {
		if from <= r && r <= to {
			return r + by
		}
		return r
	}, text)
}

func join(list, separator ref.Val) ref.Val {
	parts, isList := list.(traits.Lister)
	between, isText := separator.(types.String)
	if !isList || !isText {
		return types.MaybeNoSuchOverloadErr(list)
	}
	var b strings.Builder
	first := true
	for i := parts.Iterator(); i.HasNext() == types.True; first = false {
		part, ok := i.Next().(types.String)
		if !ok {
			return types.NewErr("join of a list that holds something else than texts")
		}
		if !first {
			b.WriteString(string(between))
		}
		if b.Len()+len(part) > maxText {
			return types.NewErr("join makes a text of more than %d bytes", maxText)
		}
		b.WriteString(string(part))
	}
	return types.String(b.String())
}
