// Python's Words and Splitter.
//   Splitter(punctuation, memo_bytes, Words)   remembers chunks; split(text) -> Words | [unknown chunks] | None (stock)
//   Words                                      the words of one text; immutable
#include "python_words.hpp"

namespace smol::python {
namespace {

PyObject* words_list(PyObject* self, PyObject*) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        const Document& doc = unbox<HeldWords>(self).doc;
        PyObject* list = PyList_New(static_cast<Py_ssize_t>(doc.words.size()));
        if (!list) return nullptr;
        for (size_t i = 0; i < doc.words.size(); ++i) {
            const std::string_view word = doc.word(doc.words[i]);
            PyObject* item = PyUnicode_DecodeUTF8(word.data(), static_cast<Py_ssize_t>(word.size()), nullptr);
            if (!item) {
                Py_DECREF(list);
                return nullptr;
            }
            PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), item);
        }
        return list;
    });
}

Py_ssize_t words_length(PyObject* self) {
    auto* value = reinterpret_cast<Box<HeldWords>*>(self)->value;
    return value ? static_cast<Py_ssize_t>(value->doc.words.size()) : 0;
}

PyMethodDef words_methods[] = {
    {"list", words_list, METH_NOARGS, "The words as strings."},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot words_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_box<HeldWords>)},
    {Py_tp_methods, words_methods},
    {Py_sq_length, reinterpret_cast<void*>(words_length)},
    {Py_tp_doc, const_cast<char*>("The words of one text.")},
    {0, nullptr},
};
PyType_Spec words_spec = {"filters._native.Words", sizeof(Box<HeldWords>), 0, Py_TPFLAGS_DEFAULT, words_slots};

// ---- Splitter

std::shared_ptr<const smol::CharTable> make_chars(PyObject* punctuation) {
    auto table = std::make_shared<smol::CharTable>();
    for (uint32_t c = 0; c <= smol::kMaxChar; ++c) {
        uint16_t flags = 0;
        if (Py_UNICODE_ISSPACE(c)) flags |= smol::kSpace;
        if (Py_UNICODE_ISALPHA(c)) flags |= smol::kAlpha;
        if (Py_UNICODE_ISLINEBREAK(c)) flags |= smol::kLineBreak;
        if (Py_UNICODE_ISALNUM(c) || c == '_') flags |= smol::kWordChar;
        if (Py_UNICODE_ISDECIMAL(c)) flags |= smol::kDigit;
        if (Py_UNICODE_ISUPPER(c)) flags |= smol::kUpper;
        if (Py_UNICODE_ISLOWER(c)) flags |= smol::kLower;
        if (Py_UNICODE_ISTITLE(c)) flags |= smol::kTitle;
        if (Py_UNICODE_ISDIGIT(c)) flags |= smol::kDigitValue;
        if (c == 0x130 || c == 0x3A3) flags |= smol::kOddLower;  // I with a dot; the final sigma
        // The scanners know these by their first bytes.
        if (flags & smol::kSpace && c > 0x20) {
            const unsigned char first = c < 0x800 ? 0xC0 | c >> 6 : 0xE0 | c >> 12;
            const unsigned char second = 0x80 | ((c < 0x800 ? c : c >> 6) & 0x3F);
            if (c < 0x80 || c > 0xFFFF || !smol::may_start_space(first) || !smol::may_be_space(first, second))
                throw std::runtime_error("unknown white space");
        }
        if (flags & smol::kLineBreak && c >= 0x80 && c != 0x85 && c != 0x2028 && c != 0x2029)
            throw std::runtime_error("unknown line break");
        table->at(c) = flags;
    }
    const std::u32string marks = smol::to_u32(punctuation);
    for (char32_t c : marks) table->at(c) |= smol::kPunct;
    return table;
}

int splitter_init(PyObject* self, PyObject* args, PyObject*) {
    return guarded(-1, [&] {
        PyObject *punctuation, *words_type;
        Py_ssize_t memo_bytes;
        if (!PyArg_ParseTuple(args, "UnO", &punctuation, &memo_bytes, &words_type)) return -1;
        if (!PyType_Check(words_type) || reinterpret_cast<PyTypeObject*>(words_type)->tp_dealloc != delete_box<HeldWords>)
            throw std::invalid_argument("the third argument is the type Words");
        auto held = std::make_unique<HeldSplitter>();
        held->chars = make_chars(punctuation);
        held->splitter = std::make_unique<smol::Splitter>(held->chars, static_cast<size_t>(memo_bytes));
        Py_INCREF(words_type);
        held->words_type = words_type;
        put(self, std::move(held));
        return 0;
    });
}

PyObject* box_words(const HeldSplitter& held, std::unique_ptr<HeldWords> words) {
    words->chars = held.chars;
    auto* type = reinterpret_cast<PyTypeObject*>(held.words_type);
    PyObject* result = type->tp_alloc(type, 0);
    if (result) reinterpret_cast<Box<HeldWords>*>(result)->value = words.release();
    return result;
}

PyObject* splitter_set_rules(PyObject* self, PyObject* args) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        PyObject *patterns, *specials, *sequences;
        if (!PyArg_ParseTuple(args, "O!O!O!", &PyTuple_Type, &patterns, &PyList_Type, &specials, &PyList_Type,
                              &sequences))
            return nullptr;
        auto& held = unbox<HeldSplitter>(self);
        held.splitter->rules = smol::build_rules(*held.chars, patterns, specials, sequences);
        Py_RETURN_NONE;
    });
}

PyObject* splitter_set_crf(PyObject* self, PyObject* args) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        PyObject *weights, *pairs, *triples, *known, *syllables;
        int inside;
        if (!PyArg_ParseTuple(args, "O!iO!O!O!O!", &PyTuple_Type, &weights, &inside, &PyList_Type, &pairs, &PyList_Type,
                              &triples, &PyList_Type, &known, &PyTuple_Type, &syllables))
            return nullptr;
        auto& held = unbox<HeldSplitter>(self);
        held.splitter->crf = smol::build_crf(*held.chars, weights, inside, pairs, triples, known, syllables);
        Py_RETURN_NONE;
    });
}

PyObject* splitter_split(PyObject* self, PyObject* text) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        auto& held = unbox<HeldSplitter>(self);
        if (!PyUnicode_Check(text)) throw std::invalid_argument("a text must be a str");
        if (!held.splitter->rules && !held.splitter->crf) throw std::logic_error("no rules were given");
        auto words = std::make_unique<HeldWords>();
        words->hold(text);
        if (const char* reason = held.why_stock(words->doc.text)) return PyUnicode_FromString(reason);
        std::vector<std::string> unknown;
        smol::Splitter::Outcome outcome;
        {
            const Released released;
            outcome = held.splitter->split(words->doc, unknown);
        }
        if (outcome == smol::Splitter::Outcome::kStock) Py_RETURN_NONE;
        if (outcome == smol::Splitter::Outcome::kDone) return box_words(held, std::move(words));
        PyObject* list = PyList_New(0);
        for (const std::string& chunk : unknown) {
            PyObject* item = PyUnicode_DecodeUTF8(chunk.data(), static_cast<Py_ssize_t>(chunk.size()), nullptr);
            if (!list || !item || PyList_Append(list, item) < 0) {
                Py_XDECREF(item);
                Py_XDECREF(list);
                return nullptr;
            }
            Py_DECREF(item);
        }
        return list;
    });
}

// wrap(text, words): words that another splitter found, or None where one is too long.
PyObject* splitter_wrap(PyObject* self, PyObject* args) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        PyObject *text, *list;
        if (!PyArg_ParseTuple(args, "UO!", &text, &PyList_Type, &list)) return nullptr;
        auto& held = unbox<HeldSplitter>(self);
        auto words = std::make_unique<HeldWords>();
        words->hold(text);
        words->doc.spans = false;
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
            Py_ssize_t bytes;
            PyObject* item = PyList_GET_ITEM(list, i);
            if (!PyUnicode_Check(item)) throw std::invalid_argument("a word must be a str");
            const char* utf8 = PyUnicode_AsUTF8AndSize(item, &bytes);
            if (!utf8) throw PythonError();
            const std::string_view word(utf8, static_cast<size_t>(bytes));
            if (words->doc.own.size() + word.size() > INT32_MAX / 2) throw std::length_error("too many words");
            if (word.size() > kMaxWordBytes || PyUnicode_GET_LENGTH(item) > static_cast<Py_ssize_t>(kMaxWordChars))
                Py_RETURN_NONE;
            words->doc.words.push_back({static_cast<uint32_t>(words->doc.own.size()),
                                        static_cast<uint32_t>(word.size()),
                                        static_cast<uint32_t>(PyUnicode_GET_LENGTH(item)),
                                        smol::flags_of(*held.chars, word), smol::polynomial(word)});
            words->doc.own += word;
        }
        return box_words(held, std::move(words));
    });
}

smol::Syllable to_syllable(PyObject* tuple) {
    smol::Syllable s;
    int title, upper, punctuation, digit_first, title_first;
    unsigned lower;
    if (!PyTuple_Check(tuple) ||
        !PyArg_ParseTuple(tuple, "ddddddIppppp", &s.own.of[0], &s.own.of[1], &s.as_previous.of[0],
                          &s.as_previous.of[1], &s.as_next.of[0], &s.as_next.of[1], &lower, &title, &upper,
                          &punctuation, &digit_first, &title_first))
        throw PythonError();
    s.lower = lower;
    s.kinds = static_cast<uint8_t>((title ? s.kTitle : 0) | (upper ? s.kUpper : 0) | (punctuation ? s.kPunctuation : 0) |
                                   (digit_first ? s.kDigitFirst : 0) | (title_first ? s.kTitleFirst : 0));
    return s;
}

PyObject* splitter_learn_syllables(PyObject* self, PyObject* args) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        PyObject *chunk, *syllables, *lengths;
        if (!PyArg_ParseTuple(args, "UO!O!", &chunk, &PyTuple_Type, &syllables, &PyTuple_Type, &lengths))
            return nullptr;
        const auto l = smol::to_numbers(lengths);
        if (static_cast<size_t>(PyTuple_GET_SIZE(syllables)) != l.size())
            throw std::invalid_argument("one length per syllable");
        std::vector<std::pair<smol::Syllable, uint32_t>> found;
        uint64_t sum = 0;
        for (size_t i = 0; i < l.size(); ++i) {
            found.emplace_back(to_syllable(PyTuple_GET_ITEM(syllables, static_cast<Py_ssize_t>(i))), l[i]);
            sum += l[i];
        }
        if (sum != static_cast<uint64_t>(PyUnicode_GET_LENGTH(chunk)))
            throw std::invalid_argument("the syllables do not make up the chunk");
        unbox<HeldSplitter>(self).splitter->learn_syllables(smol::to_utf8(chunk), found);
        Py_RETURN_NONE;
    });
}

PyObject* splitter_forget(PyObject* self, PyObject*) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        unbox<HeldSplitter>(self).splitter->forget();
        Py_RETURN_NONE;
    });
}

PyObject* splitter_memo(PyObject* self, PyObject*) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        auto& splitter = *unbox<HeldSplitter>(self).splitter;
        return Py_BuildValue("nn", static_cast<Py_ssize_t>(splitter.memo_chunks()),
                             static_cast<Py_ssize_t>(splitter.memo_bytes()));
    });
}

PyMethodDef splitter_methods[] = {
    {"set_rules", splitter_set_rules, METH_VARARGS, "set_rules(patterns, specials, sequences): spaCy's rules."},
    {"set_crf", splitter_set_crf, METH_VARARGS, "set_crf(weights, inside, pairs, triples, known, syllables): pyvi's model."},
    {"split", splitter_split, METH_O, "split(text) -> Words | [unknown chunks] | None for stock"},
    {"wrap", splitter_wrap, METH_VARARGS, "wrap(text, words) -> Words | None"},
    {"learn_syllables", splitter_learn_syllables, METH_VARARGS, "learn_syllables(chunk, (syllable, ...), lengths)"},
    {"forget", splitter_forget, METH_NOARGS, "Empties the memory."},
    {"memo", splitter_memo, METH_NOARGS, "(chunks, bytes) in memory"},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot splitter_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_box<HeldSplitter>)},
    {Py_tp_init, reinterpret_cast<void*>(splitter_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_box<HeldSplitter>)},
    {Py_tp_methods, splitter_methods},
    {Py_tp_doc, const_cast<char*>("Splitter(punctuation, memo_bytes, Words)")},
    {0, nullptr},
};
PyType_Spec splitter_spec = {"filters._native.Splitter", sizeof(Box<HeldSplitter>), 0, Py_TPFLAGS_DEFAULT,
                             splitter_slots};

}  // namespace

int add_words(PyObject* module) {
    return add_type(module, "Words", &words_spec) < 0 ? -1 : add_type(module, "Splitter", &splitter_spec);
}

}  // namespace smol::python
