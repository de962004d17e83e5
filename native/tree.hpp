// Takes over rules from Python objects (see filters/native.py for their shapes).
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <memory>
#include <string>
#include <vector>

#include "affixes.hpp"
#include "vietnamese.hpp"

namespace smol {

// A Python exception is set.
struct PythonError {};

std::string to_utf8(PyObject* string);
std::u32string to_u32(PyObject* string);
std::vector<uint32_t> to_numbers(PyObject* tuple);

// patterns: (prefix, suffix, infix, token_match, url_match), each None or a tree;
// specials: [(text, (token length, ...)), ...]; sequences: [(has_space, (token, ...)), ...].
std::unique_ptr<Rules> build_rules(const CharTable& chars, PyObject* patterns, PyObject* specials,
                                   PyObject* sequences);

// weights: doubles, two for each of the eight shared features in the order of CrfModel, for the two transitions, and for
// bias, isupper, istitle and isdigit; pairs: [(first, second, flags), ...]; triples: [(first, second, third), ...];
// known: [(lower-case syllable, number, six doubles: own, as previous, as next), ...]; syllables: a tree.
std::unique_ptr<CrfModel> build_crf(const CharTable& chars, PyObject* weights, int inside, PyObject* pairs,
                                    PyObject* triples, PyObject* known, PyObject* syllables);

}  // namespace smol
