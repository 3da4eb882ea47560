// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package tegata is the root of a repository that holds commands, not a
// library: there is nothing to import here. The commands are below cmd, their
// parts below internal, and the house rules that all of it obeys are the
// tests of this package.
package tegata
