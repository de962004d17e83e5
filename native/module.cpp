// Python's side: filters._native, put together from the files of bindings (python_*.cpp). No module state.
#include "python.hpp"

// What it was built from (filters/native_sources.py); setup.py defines it.
#ifndef SMOL_SOURCES
#define SMOL_SOURCES ""
#endif

namespace {

int add_all(PyObject* module) {
    using namespace smol::python;
    for (auto add : {add_words, add_gopher, add_json, add_language, add_loop, add_minhash, add_spam})
        if (add(module) < 0) return -1;
    return PyModule_AddStringConstant(module, "SOURCES", SMOL_SOURCES);
}

PyModuleDef_Slot module_slots[] = {{Py_mod_exec, reinterpret_cast<void*>(add_all)}, {0, nullptr}};
PyModuleDef module_def = {PyModuleDef_HEAD_INIT, "filters._native", "The filters' work in C++.", 0, nullptr,
                          module_slots, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__native() { return PyModuleDef_Init(&module_def); }
