#pragma once

#include <string>

#include "fmha/mask_arguments.hpp"

namespace ck_fmha {

// The definition of this name with its parameters and data taken from `arguments`; null if there is none. To add a
// definition, add one function and one line to the table in mask_definitions.cpp.
std::shared_ptr<const MaskExpr> parse_definition(const std::string& name, MaskArguments& arguments);

} // namespace ck_fmha
