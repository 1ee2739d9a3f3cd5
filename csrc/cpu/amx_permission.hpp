#pragma once

namespace ck_fmha::cpu {

// Does the processor multiply bfloat16 in tile registers, and may this process use them? Asks the operating system for
// it, once for all threads; false where that does not know of them (Linux before 5.16) or refuses.
bool amx_is_permitted();

} // namespace ck_fmha::cpu
