// Python's Simplifier and MinHash.
//   Simplifier(table, rows, collapse)     simplify(text) -> str | None (stock)
//   MinHash(n, hash, a, b)                sign(simplifier, splitter, text) -> (number of words, signature | None)
//                                             | [unknown chunks] | why only stock can split the text
//                                         sign_words(words) -> signature | None; permute(hashes) -> signature
//                                         grams(simplifier, splitter, text) -> the different hashes of n-grams,
//                                             sorted, 64 bits each | what sign says; grams_words(words)
// A signature is bytes, little-endian numbers of 64 or 32 bits; None where there are fewer words than an n-gram has.
#include <cstring>

#include "hashes.hpp"
#include "minhash.hpp"
#include "python_words.hpp"
#include "simplify.hpp"

namespace smol::python {
namespace {

std::string_view bytes_of(PyObject* object) {
    return {PyBytes_AS_STRING(object), static_cast<size_t>(PyBytes_GET_SIZE(object))};
}

template <class Number>
std::vector<Number> numbers_of(std::string_view bytes) {
    if (bytes.size() % sizeof(Number)) throw std::invalid_argument("bytes that are no whole numbers");
    std::vector<Number> out(bytes.size() / sizeof(Number));
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
}

int simplifier_init(PyObject* self, PyObject* args, PyObject*) {
    return guarded(-1, [&] {
        PyObject *table, *list;
        int collapse;
        if (!PyArg_ParseTuple(args, "SO!p", &table, &PyList_Type, &list, &collapse)) return -1;
        std::vector<std::u32string> rows;
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) rows.push_back(smol::to_u32(PyList_GET_ITEM(list, i)));
        put(self, std::make_unique<smol::Simplifier>(numbers_of<uint32_t>(bytes_of(table)), std::move(rows), collapse));
        return 0;
    });
}

PyObject* simplifier_simplify(PyObject* self, PyObject* text) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        const auto& simplifier = unbox<smol::Simplifier>(self);
        if (!PyUnicode_Check(text)) throw std::invalid_argument("a text must be a str");
        HeldWords held;
        held.hold(text);
        std::string out;
        bool done;
        {
            const Released released;
            done = simplifier.simplify(held.doc.text, out);
        }
        if (!done) Py_RETURN_NONE;
        return PyUnicode_DecodeUTF8(out.data(), static_cast<Py_ssize_t>(out.size()), nullptr);
    });
}

PyMethodDef simplifier_methods[] = {
    {"simplify", simplifier_simplify, METH_O, "simplify(text) -> str | None for stock"},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot simplifier_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_box<smol::Simplifier>)},
    {Py_tp_init, reinterpret_cast<void*>(simplifier_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_box<smol::Simplifier>)},
    {Py_tp_methods, simplifier_methods},
    {Py_tp_doc, const_cast<char*>("Simplifier(table, rows, collapse)")},
    {0, nullptr},
};
PyType_Spec simplifier_spec = {"filters._native.Simplifier", sizeof(Box<smol::Simplifier>), 0, Py_TPFLAGS_DEFAULT,
                               simplifier_slots};

// ---- MinHash

int minhash_init(PyObject* self, PyObject* args, PyObject*) {
    return guarded(-1, [&] {
        Py_ssize_t n;
        const char* name;
        PyObject *a, *b;
        if (!PyArg_ParseTuple(args, "nsSS", &n, &name, &a, &b)) return -1;
        if (n < 1) throw std::invalid_argument("an n-gram has at least one word");
        smol::GramHash hash;
        if (!std::strcmp(name, "xxhash64")) hash = smol::GramHash::kXxh64;
        else if (!std::strcmp(name, "xxhash32")) hash = smol::GramHash::kXxh32;
        else if (!std::strcmp(name, "sha1 64")) hash = smol::GramHash::kSha1of64;
        else if (!std::strcmp(name, "sha1 32")) hash = smol::GramHash::kSha1of32;
        else throw std::invalid_argument("no such hash");
        put(self, std::make_unique<smol::MinHasher>(static_cast<size_t>(n), hash, numbers_of<uint64_t>(bytes_of(a)),
                                                    numbers_of<uint64_t>(bytes_of(b))));
        return 0;
    });
}

PyObject* signature_bytes(const smol::MinHasher& hasher, const std::vector<uint64_t>& best) {
    const size_t width = hasher.is_32_bits() ? 4 : 8;
    PyObject* bytes = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(best.size() * width));
    if (!bytes) return nullptr;
    char* at = PyBytes_AS_STRING(bytes);
    for (uint64_t value : best) {
        const uint64_t little = smol::read_little<uint64_t>(reinterpret_cast<const char*>(&value));
        std::memcpy(at, &little, width);  // its first bytes are its lowest
        at += width;
    }
    return bytes;
}

PyObject* strings(const std::vector<std::string>& all) {
    PyObject* list = PyList_New(0);
    for (const std::string& one : all) {
        PyObject* item = PyUnicode_DecodeUTF8(one.data(), static_cast<Py_ssize_t>(one.size()), nullptr);
        if (!list || !item || PyList_Append(list, item) < 0) {
            Py_XDECREF(item);
            Py_XDECREF(list);
            return nullptr;
        }
        Py_DECREF(item);
    }
    return list;
}

// What `take(document)` makes of the words of a text, then answer(document); before that, what keeps it from having words.
template <class Take, class Answer>
PyObject* of_text(PyObject* args, Take take, Answer answer) {
    PyObject *simplifier_object, *splitter_object, *text;
    if (!PyArg_ParseTuple(args, "OOU", &simplifier_object, &splitter_object, &text)) return nullptr;
    const auto& simplifier = argument<smol::Simplifier>(simplifier_object);
    const auto& held_splitter = argument<HeldSplitter>(splitter_object);
    auto& splitter = *held_splitter.splitter;
    if (!splitter.rules && !splitter.crf) throw std::logic_error("no rules were given");
    HeldWords held;
    held.hold(text);
    std::string simple;
    std::vector<std::string> unknown;
    smol::Document doc;
    const char* why = nullptr;
    {
        const Released released;
        if (!simplifier.simplify(held.doc.text, simple)) {
            why = "a mark out of order";
        } else if (simple.size() > INT32_MAX / 2) {
            why = "above 1 GB";
        } else if (!(why = held_splitter.why_stock(simple))) {
            doc.text = simple;
            const auto outcome = splitter.split(doc, unknown);
            if (outcome == smol::Splitter::Outcome::kStock) why = "a very long chunk";
            if (outcome == smol::Splitter::Outcome::kDone) take(doc);
        }
    }
    if (why) return PyUnicode_FromString(why);
    return unknown.empty() ? answer(doc) : strings(unknown);
}

PyObject* minhash_sign(PyObject* self, PyObject* args) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        const auto& hasher = unbox<smol::MinHasher>(self);
        std::vector<uint64_t> best;
        bool has_grams = false;
        return of_text(
            args, [&](const smol::Document& doc) { has_grams = hasher.sign(doc, best); },
            [&](const smol::Document& doc) {
                const auto words = static_cast<Py_ssize_t>(doc.words.size());
                return has_grams ? Py_BuildValue("nN", words, signature_bytes(hasher, best))
                                 : Py_BuildValue("nO", words, Py_None);
            });
    });
}

PyObject* minhash_sign_words(PyObject* self, PyObject* words) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        const auto& hasher = unbox<smol::MinHasher>(self);
        const auto& held = argument<HeldWords>(words);
        std::vector<uint64_t> best;
        bool has_grams;
        {
            const Released released;
            has_grams = hasher.sign(held.doc, best);
        }
        if (!has_grams) Py_RETURN_NONE;
        return signature_bytes(hasher, best);
    });
}

PyObject* little_bytes(std::vector<uint64_t>& all) {
    for (uint64_t& value : all) value = smol::read_little<uint64_t>(reinterpret_cast<const char*>(&value));
    return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(all.data()),
                                     static_cast<Py_ssize_t>(all.size() * sizeof(uint64_t)));
}

PyObject* minhash_grams(PyObject* self, PyObject* args) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        const auto& hasher = unbox<smol::MinHasher>(self);
        std::vector<uint64_t> all;
        return of_text(
            args, [&](const smol::Document& doc) { all = hasher.grams(doc); },
            [&](const smol::Document&) { return little_bytes(all); });
    });
}

PyObject* minhash_grams_words(PyObject* self, PyObject* words) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        const auto& hasher = unbox<smol::MinHasher>(self);
        const auto& held = argument<HeldWords>(words);
        std::vector<uint64_t> all;
        {
            const Released released;
            all = hasher.grams(held.doc);
        }
        return little_bytes(all);
    });
}

PyObject* minhash_permute(PyObject* self, PyObject* hashes) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        const auto& hasher = unbox<smol::MinHasher>(self);
        Py_buffer view;
        if (PyObject_GetBuffer(hashes, &view, PyBUF_C_CONTIGUOUS) < 0) return nullptr;
        std::vector<uint64_t> best(hasher.size(), UINT64_MAX >> 3);
        const bool fits = view.itemsize == 8;
        if (fits) {
            const Released released;
            hasher.permute(static_cast<const uint64_t*>(view.buf), static_cast<size_t>(view.len) / 8, best.data());
        }
        PyBuffer_Release(&view);
        if (!fits) throw std::invalid_argument("hashes are numbers of 64 bits");
        return signature_bytes(hasher, best);
    });
}

// hash(name, data): one of the hash functions alone, for comparison with datatrove's.
PyObject* minhash_hash(PyObject*, PyObject* args) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        PyObject *name, *data;
        if (!PyArg_ParseTuple(args, "US", &name, &data)) return nullptr;
        const std::string wanted = smol::to_utf8(name);
        const std::string_view bytes = bytes_of(data);
        if (wanted == "xxhash64") return PyLong_FromUnsignedLongLong(smol::xxh64(bytes));
        if (wanted == "xxhash32") return PyLong_FromUnsignedLongLong(smol::xxh32(bytes));
        if (wanted == "sha1 64") return PyLong_FromUnsignedLongLong(smol::sha1_head(bytes));
        throw std::invalid_argument("no such hash");
    });
}

PyMethodDef minhash_methods[] = {
    {"sign", minhash_sign, METH_VARARGS, "sign(simplifier, splitter, text) -> (words, signature) | [chunks] | reason"},
    {"sign_words", minhash_sign_words, METH_O, "sign_words(words) -> signature | None"},
    {"grams", minhash_grams, METH_VARARGS, "grams(simplifier, splitter, text) -> hashes | [chunks] | reason"},
    {"grams_words", minhash_grams_words, METH_O, "grams_words(words) -> different hashes of n-grams, sorted"},
    {"permute", minhash_permute, METH_O, "permute(hashes of 64 bits) -> signature"},
    {"hash", minhash_hash, METH_VARARGS | METH_STATIC, "hash(name, data) -> int"},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot minhash_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_box<smol::MinHasher>)},
    {Py_tp_init, reinterpret_cast<void*>(minhash_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_box<smol::MinHasher>)},
    {Py_tp_methods, minhash_methods},
    {Py_tp_doc, const_cast<char*>("MinHash(n, hash, a, b)")},
    {0, nullptr},
};
PyType_Spec minhash_spec = {"filters._native.MinHash", sizeof(Box<smol::MinHasher>), 0, Py_TPFLAGS_DEFAULT,
                            minhash_slots};

}  // namespace

int add_minhash(PyObject* module) {
    return add_type(module, "Simplifier", &simplifier_spec) < 0 ? -1 : add_type(module, "MinHash", &minhash_spec);
}

}  // namespace smol::python
