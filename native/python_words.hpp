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
    // What a text has that sends it to stock, or null. datatrove takes this word out when spaCy chokes on it; pyvi's
    // library ends strings at NUL.
    const char* why_stock(std::string_view of) const {
        for (size_t at = of.find('_'); at != of.npos; at = of.find('_', at + 1))
            if (at >= 2 && of.substr(at - 2, 8) == "IS_ALPHA") return "IS_ALPHA";
        return splitter->crf && of.find('\0') != of.npos ? "NUL" : nullptr;
    }
};

}  // namespace smol::python
