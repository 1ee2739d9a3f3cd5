#pragma once

#include "fmha/mask_arguments.hpp"

namespace ck_fmha {

// Definitions whose data has to fit the call: offsets, lengths, tables. Their lines in the table of definitions; what
// each takes stands beside it in mask_data_definitions.cpp.
std::shared_ptr<const MaskExpr> parse_documents(MaskArguments& arguments);
std::shared_ptr<const MaskExpr> parse_lengths(MaskArguments& arguments);
std::shared_ptr<const MaskExpr> parse_block_list(MaskArguments& arguments);
std::shared_ptr<const MaskExpr> parse_big_bird_table(MaskArguments& arguments);
std::shared_ptr<const MaskExpr> parse_deepspeed_big_bird_table(MaskArguments& arguments);

} // namespace ck_fmha
