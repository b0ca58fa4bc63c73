// SPDX-License-Identifier: Apache-2.0
//
// The library that program.c needs, and, with another ANSWER, one to be loaded in its place.
int answer(void) { return ANSWER; }
