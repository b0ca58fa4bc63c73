// SPDX-License-Identifier: Apache-2.0
/* Options of the address sanitizer, which reads those of the environment from
 * /proc alone, if the program itself does not say them. This is loaded first, for the
 * sanitizer has an empty function of that name. rpm itself frees little before it ends. */
const char *__asan_default_options(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "detect_leaks=0:verify_asan_link_order=0";
}
