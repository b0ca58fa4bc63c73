// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"reflect"
	"strconv"

	"github.com/spf13/cobra"
)

// DocumentMark is the annotation of a command that prints documents for programs. App.Documents
// returns them.
const DocumentMark = "document"

// Prints returns the annotations of a command that prints one of these documents with --json.
// Manual and schemas are made from their types.
func (a *App) Prints(documents ...any) map[string]string {
	types := make([]reflect.Type, len(documents))
	for i, d := range documents {
		types[i] = reflect.TypeOf(d)
	}
	a.documents = append(a.documents, types)
	return map[string]string{DocumentMark: strconv.Itoa(len(a.documents) - 1)}
}

// Documents returns the types of the documents that a command prints, nil if it prints none.
func (a *App) Documents(cmd *cobra.Command) []reflect.Type {
	i, err := strconv.Atoi(cmd.Annotations[DocumentMark])
	if err != nil || i >= len(a.documents) {
		return nil
	}
	return a.documents[i]
}
