// The words of one text and the splitter that found them, as Python objects hold them.
#pragma once
#include "python.hpp"
#include "splitter.hpp"

namespace smol::python {

struct HeldWords {
    Document doc;
    PyObject* text;  // keeps doc.text alive
    std::shared_ptr<const smol::CharTable> chars;
    HeldWords() : text(nullptr) {}
    HeldWords(const HeldWords&) = delete;
    ~HeldWords() { Py_XDECREF(text); }
    void hold(PyObject* string) {
        Py_ssize_t bytes;
        const char* utf8 = PyUnicode_AsUTF8AndSize(string, &bytes);
        if (!utf8) throw smol::PythonError();
        if (bytes > INT32_MAX / 2) throw std::length_error("texts above 1 GB are not split here");
        Py_INCREF(string);
        text = string;
        doc.text = {utf8, static_cast<size_t>(bytes)};
        doc.chars = static_cast<uint64_t>(PyUnicode_GET_LENGTH(string));
    }
};

struct HeldSplitter {
    std::unique_ptr<smol::Splitter> splitter;
    std::shared_ptr<const smol::CharTable> chars;
    PyObject* words_type;
    HeldSplitter() : words_type(nullptr) {}
    HeldSplitter(const HeldSplitter&) = delete;
    ~HeldSplitter() { Py_XDECREF(words_type); }
};

}  // namespace smol::python
