// Python's Repetition and Quality: judge(...) -> None (kept) | reason | False (stock).
#include "gopher.hpp"
#include "python_words.hpp"

namespace smol::python {
namespace {

PyObject* answer(const smol::Verdict& verdict) {
    if (verdict.result == smol::Verdict::kKept) Py_RETURN_NONE;
    if (verdict.result == smol::Verdict::kStock) Py_RETURN_FALSE;
    return PyUnicode_FromString(verdict.reason.c_str());
}

std::vector<smol::NGramLimit> to_limits(PyObject* pairs) {
    std::vector<smol::NGramLimit> out;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(pairs); ++i) {
        unsigned n;
        double share;
        PyObject* pair = PyTuple_GET_ITEM(pairs, i);
        if (!PyTuple_Check(pair) || !PyArg_ParseTuple(pair, "Id", &n, &share)) throw PythonError();
        if (n < 1 || n > 1000) throw std::out_of_range("n-grams of 1 to 1000 words");
        out.push_back({n, share});
    }
    return out;
}

struct HeldRepetition {
    smol::RepetitionRules rules;
};

int repetition_init(PyObject* self, PyObject* args, PyObject*) {
    return guarded(-1, [&] {
        auto held = std::make_unique<HeldRepetition>();
        auto& r = held->rules;
        PyObject *top, *duplicated;
        if (!PyArg_ParseTuple(args, "ddddO!O!", &r.dup_line.value, &r.dup_para.value, &r.dup_line_char.value,
                              &r.dup_para_char.value, &PyTuple_Type, &top, &PyTuple_Type, &duplicated))
            return -1;
        r.top = to_limits(top);
        r.duplicated = to_limits(duplicated);
        put(self, std::move(held));
        return 0;
    });
}

// judge_lines(splitter, text)
PyObject* repetition_judge_lines(PyObject* self, PyObject* args) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        PyObject *splitter, *text;
        if (!PyArg_ParseTuple(args, "OU", &splitter, &text)) return nullptr;
        const auto& held = argument<HeldSplitter>(splitter);
        const auto& rules = unbox<HeldRepetition>(self).rules;
        HeldWords words;
        words.hold(text);
        smol::Verdict verdict;
        {
            const Released released;
            verdict = rules.judge_lines(*held.chars, words.doc.text, words.doc.chars);
        }
        return answer(verdict);
    });
}

template <smol::Verdict (smol::RepetitionRules::*judge)(const smol::Document&) const>
PyObject* repetition_judge(PyObject* self, PyObject* words) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        const auto& held = argument<HeldWords>(words);
        const auto& rules = unbox<HeldRepetition>(self).rules;
        smol::Verdict verdict;
        {
            const Released released;
            verdict = (rules.*judge)(held.doc);
        }
        return answer(verdict);
    });
}

PyMethodDef repetition_methods[] = {
    {"judge_lines", repetition_judge_lines, METH_VARARGS, "judge_lines(splitter, text) -> None | reason"},
    {"judge_words", repetition_judge<&smol::RepetitionRules::judge_words>, METH_O, "judge_words(words) -> None | reason"},
    {"judge_many_words", repetition_judge<&smol::RepetitionRules::judge_many_words>, METH_O,
     "The same, as judge_words does it for more than a million words."},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot repetition_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_box<HeldRepetition>)},
    {Py_tp_init, reinterpret_cast<void*>(repetition_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_box<HeldRepetition>)},
    {Py_tp_methods, repetition_methods},
    {Py_tp_doc, const_cast<char*>("Repetition(line, para, line_char, para_char, top, duplicated)")},
    {0, nullptr},
};
PyType_Spec repetition_spec = {"filters._native.Repetition", sizeof(Box<HeldRepetition>), 0, Py_TPFLAGS_DEFAULT,
                               repetition_slots};

struct HeldQuality {
    smol::QualityRules rules;
};

int quality_init(PyObject* self, PyObject* args, PyObject*) {
    return guarded(-1, [&] {
        auto held = std::make_unique<HeldQuality>();
        auto& q = held->rules;
        PyObject* stop_words;
        if (!PyArg_ParseTuple(args, "dddddddddO!", &q.min_doc_words.value, &q.max_doc_words.value,
                              &q.min_avg_word_length.value, &q.max_avg_word_length.value,
                              &q.max_symbol_word_ratio.value, &q.max_bullet_lines_ratio.value,
                              &q.max_ellipsis_lines_ratio.value, &q.max_non_alpha_words_ratio.value,
                              &q.min_stop_words.value, &PyTuple_Type, &stop_words))
            return -1;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(stop_words); ++i)
            q.stop_words.push_back(smol::to_utf8(PyTuple_GET_ITEM(stop_words, i)));
        q.finish();
        put(self, std::move(held));
        return 0;
    });
}

PyObject* quality_judge(PyObject* self, PyObject* words) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        const auto& held = argument<HeldWords>(words);
        const auto& rules = unbox<HeldQuality>(self).rules;
        smol::Verdict verdict;
        {
            const Released released;
            verdict = rules.judge(*held.chars, held.doc);
        }
        return answer(verdict);
    });
}

PyMethodDef quality_methods[] = {
    {"judge", quality_judge, METH_O, "judge(words) -> None | reason | False for stock"},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot quality_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_box<HeldQuality>)},
    {Py_tp_init, reinterpret_cast<void*>(quality_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_box<HeldQuality>)},
    {Py_tp_methods, quality_methods},
    {Py_tp_doc, const_cast<char*>("Quality(nine thresholds, stop_words)")},
    {0, nullptr},
};
PyType_Spec quality_spec = {"filters._native.Quality", sizeof(Box<HeldQuality>), 0, Py_TPFLAGS_DEFAULT, quality_slots};

}  // namespace

int add_gopher(PyObject* module) {
    return add_type(module, "Repetition", &repetition_spec) < 0 ? -1 : add_type(module, "Quality", &quality_spec);
}

}  // namespace smol::python
