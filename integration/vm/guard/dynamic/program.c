// SPDX-License-Identifier: Apache-2.0
//
// A program that needs a library and nothing else: it ends with what the library answers.
int answer(void);

void _start(void)
{
	__asm__ volatile("syscall" : : "a"(60), "D"(answer()) : "rcx", "r11", "memory");
	__builtin_unreachable();
}
