// Python's side of the spam phrases: _native.Spam.
#include <algorithm>
#include <optional>

#include "python.hpp"
#include "spam.hpp"

namespace smol::python {
namespace {

// Calls `work` with the characters of a string as Python holds them; they stay while the caller holds the string.
template <class Work>
auto with_chars(PyObject* text, Work work) {
    const auto chars = static_cast<size_t>(PyUnicode_GET_LENGTH(text));
    switch (PyUnicode_KIND(text)) {
        case PyUnicode_1BYTE_KIND: return work(reinterpret_cast<const uint8_t*>(PyUnicode_1BYTE_DATA(text)), chars);
        case PyUnicode_2BYTE_KIND: return work(reinterpret_cast<const uint16_t*>(PyUnicode_2BYTE_DATA(text)), chars);
        default: return work(reinterpret_cast<const uint32_t*>(PyUnicode_4BYTE_DATA(text)), chars);
    }
}

uint16_t to_number(PyObject* object) {
    const long number = PyLong_AsLong(object);
    if (number == -1 && PyErr_Occurred()) throw PythonError();
    if (number < 0 || number > 0xFFFF) throw std::out_of_range("a number of 16 bits");
    return static_cast<uint16_t>(number);
}

std::vector<uint16_t> to_symbols(PyObject* tuple) {
    if (!PyTuple_Check(tuple)) throw std::invalid_argument("not a tuple of numbers");
    std::vector<uint16_t> out;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) out.push_back(to_number(PyTuple_GET_ITEM(tuple, i)));
    return out;
}

int spam_init(PyObject* self, PyObject* args, PyObject*) {
    return guarded(-1, [&] {
        PyObject *given, *alphabet;
        if (!PyArg_ParseTuple(args, "O!O", &PyTuple_Type, &given, &alphabet)) return -1;
        std::vector<std::vector<uint16_t>> phrases;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(given); ++i)
            phrases.push_back(to_symbols(PyTuple_GET_ITEM(given, i)));
        put(self, std::make_unique<SpamPhrases>(phrases, to_symbols(alphabet)));
        return 0;
    });
}

// learn(block, entries): a tuple of 256 numbers.
PyObject* spam_learn(PyObject* self, PyObject* args) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        Py_ssize_t block;
        PyObject* given;
        if (!PyArg_ParseTuple(args, "nO", &block, &given)) return nullptr;
        const auto numbers = to_symbols(given);
        std::array<uint16_t, SpamPhrases::kBlock> entries;
        if (numbers.size() != entries.size() || block < 0) throw std::invalid_argument("a block is 256 entries");
        std::copy(numbers.begin(), numbers.end(), entries.begin());
        unbox<SpamPhrases>(self).learn(static_cast<size_t>(block), entries);
        Py_RETURN_NONE;
    });
}

// find(text, normalised) -> tuple of phrases | the block to learn | None for a text that must be normalised.
PyObject* spam_find(PyObject* self, PyObject* args) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        PyObject* text;
        int normalised;
        if (!PyArg_ParseTuple(args, "Up", &text, &normalised)) return nullptr;
        const auto& phrases = unbox<SpamPhrases>(self);
        std::optional<Released> released(std::in_place);
        const auto found = with_chars(
            text, [&](auto* chars, size_t count) { return phrases.find(chars, count, normalised != 0); });
        released.reset();
        if (found.outcome == SpamPhrases::Outcome::kSpecial) Py_RETURN_NONE;
        if (found.outcome == SpamPhrases::Outcome::kUnknownBlock) return PyLong_FromSize_t(found.block);
        PyObject* answer = PyTuple_New(static_cast<Py_ssize_t>(found.phrases.size()));
        for (size_t i = 0; answer && i < found.phrases.size(); ++i) {
            PyObject* number = PyLong_FromUnsignedLong(found.phrases[i]);
            if (!number) return Py_DECREF(answer), nullptr;
            PyTuple_SET_ITEM(answer, static_cast<Py_ssize_t>(i), number);
        }
        return answer;
    });
}

// count_words(text) -> int, for a text that `find` has searched.
PyObject* spam_count_words(PyObject* self, PyObject* text) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        if (!PyUnicode_Check(text)) throw std::invalid_argument("not a string");
        const auto& phrases = unbox<SpamPhrases>(self);
        return PyLong_FromSize_t(
            with_chars(text, [&](auto* chars, size_t count) { return phrases.count_words(chars, count); }));
    });
}

PyMethodDef spam_methods[] = {
    {"learn", spam_learn, METH_VARARGS, "learn(block, entries)"},
    {"find", spam_find, METH_VARARGS, "find(text, normalised) -> tuple of phrases | block to learn | None"},
    {"count_words", spam_count_words, METH_O, "count_words(text) -> int"},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot spam_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_box<SpamPhrases>)},
    {Py_tp_init, reinterpret_cast<void*>(spam_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_box<SpamPhrases>)},
    {Py_tp_methods, spam_methods},
    {Py_tp_doc, const_cast<char*>("Spam(phrases, alphabet)")},
    {0, nullptr},
};
PyType_Spec spam_spec = {"filters._native.Spam", sizeof(Box<SpamPhrases>), 0, Py_TPFLAGS_DEFAULT, spam_slots};

}  // namespace

int add_spam(PyObject* module) { return add_type(module, "Spam", &spam_spec); }

}  // namespace smol::python
