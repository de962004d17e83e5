// Python's side of lines of JSON: _native.take_string and _native.surely_composed.
#include <algorithm>
#include <string_view>
#include <vector>

#include "json_text.hpp"
#include "python.hpp"

namespace smol::python {
namespace {

// Shorter ones are not worth a second pass over the line; nor are lines that are nearly all ASCII, by their start.
constexpr size_t kShortest = 128, kStart = 1024, kRare = 16;

bool worth_it(std::string_view line) {
    const std::string_view start = line.substr(0, kStart);
    size_t marks = 0;
    for (const char c : start) marks += (c & 0x80) != 0;
    return marks * kRare > start.size();
}

// take_string(line) -> (key, string, the line with an empty string in its place) | None. The line is bytes or bytearray.
PyObject* take_string(PyObject*, PyObject* line) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        const char* data;
        Py_ssize_t size;
        if (PyBytes_Check(line)) {
            data = PyBytes_AS_STRING(line), size = PyBytes_GET_SIZE(line);
        } else if (PyByteArray_Check(line)) {
            data = PyByteArray_AS_STRING(line), size = PyByteArray_GET_SIZE(line);
        } else {
            throw std::invalid_argument("a line is bytes");
        }
        if (!worth_it({data, static_cast<size_t>(size)})) Py_RETURN_NONE;
        LongString found;
        std::vector<uint16_t> chars;
        if (!find_long_string({data, static_cast<size_t>(size)}, kShortest, found)) Py_RETURN_NONE;
        chars.reserve(found.body.size());
        if (!decode_string(found.body, chars)) Py_RETURN_NONE;
        PyObject* key = PyUnicode_DecodeUTF8(found.key.data(), static_cast<Py_ssize_t>(found.key.size()), nullptr);
        if (!key) {  // malformed UTF-8 is the parser's to refuse
            if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) return nullptr;
            PyErr_Clear();
            Py_RETURN_NONE;
        }
        PyObject* text =
            PyUnicode_FromKindAndData(PyUnicode_2BYTE_KIND, chars.data(), static_cast<Py_ssize_t>(chars.size()));
        const auto before = found.body.data() - data;
        const auto after = size - before - static_cast<Py_ssize_t>(found.body.size());
        PyObject* rest = PyBytes_FromStringAndSize(nullptr, before + after);
        PyObject* answer = text && rest ? PyTuple_Pack(3, key, text, rest) : nullptr;
        if (answer) {
            char* to = PyBytes_AS_STRING(rest);
            std::copy(data, data + before, to);
            std::copy(data + size - after, data + size, to + before);
        }
        Py_DECREF(key);
        Py_XDECREF(text);
        Py_XDECREF(rest);
        return answer;
    });
}

// surely_composed(text) -> bool: True is certain, False says nothing.
PyObject* composed(PyObject*, PyObject* text) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        if (!PyUnicode_Check(text)) throw std::invalid_argument("not a string");
        const int kind = PyUnicode_KIND(text);
        const bool sure = kind == PyUnicode_1BYTE_KIND ||
                          (kind == PyUnicode_2BYTE_KIND &&
                           surely_composed(reinterpret_cast<const uint16_t*>(PyUnicode_2BYTE_DATA(text)),
                                           static_cast<size_t>(PyUnicode_GET_LENGTH(text))));
        return PyBool_FromLong(sure);
    });
}

PyMethodDef json_functions[] = {
    {"take_string", take_string, METH_O, "take_string(line) -> (key, string, rest of the line) | None"},
    {"surely_composed", composed, METH_O, "surely_composed(text) -> bool"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

int add_json(PyObject* module) { return PyModule_AddFunctions(module, json_functions); }

}  // namespace smol::python
