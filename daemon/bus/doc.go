// SPDX-License-Identifier: Apache-2.0

// Package bus puts a [Backend] on D-Bus as org.digestd1; docs/dbus.md describes
// the interface.
//
// It is the table of that interface and binds it to the backend; package object keeps the calls
// in bounds and decides who may make them. The backend supplies every answer, package api its
// D-Bus form.
package bus
