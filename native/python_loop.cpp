// Python's side of a filter step's loop: _native.Loop, an iterator over the documents that a filter keeps.
//
// It does what filters/counting.py does for the frequent case, a document that is kept, and counts in C++; every
// now and then, and whenever Python asks, the figures go to `settle`. Whatever else a filter says is Python's business.
// The sums are those of datatrove's MetricStats.update, in the same order.
#include <ctime>

#include "python.hpp"

namespace smol::python {
namespace {

// Documents between two calls of `settle`: how far the statistics may lag behind.
constexpr uint32_t kSettleEvery = 256;

struct Metric {  // datatrove's MetricStats
    double total, min, max, mean, variance;
    int64_t n;

    void add(double value) {
        total += value;
        ++n;
        if (value < min) min = value;
        if (value > max) max = value;
        const double delta = value - mean;
        mean += delta / static_cast<double>(n);
        if (n > 1) variance += delta * (value - mean);
    }
    bool parse(PyObject* given) {
        long long count;
        if (!PyArg_ParseTuple(given, "dLdddd", &total, &count, &min, &max, &mean, &variance)) return false;
        n = count;
        return true;
    }
    PyObject* tuple() const {
        return Py_BuildValue("(dLdddd)", total, static_cast<long long>(n), min, max, mean, variance);
    }
};

struct Loop {
    PyObject *documents = nullptr, *filter = nullptr, *decide = nullptr, *settle = nullptr, *measure = nullptr;
    PyObject* clock = nullptr;
    PyObject *text = nullptr, *metadata = nullptr, *token_count = nullptr;
    Metric seconds, chars;
    int64_t total = 0, forwarded = 0;
    uint32_t since = 0;
    bool settled = false, kept = false;  // whether `settle` has been called at all; whether a document was kept

    ~Loop() {
        for (PyObject* held : {documents, filter, decide, settle, measure, clock, text, metadata, token_count}) Py_XDECREF(held);
    }
    double now() const {
        if (clock == Py_None) {
            timespec time;
            clock_gettime(CLOCK_MONOTONIC, &time);
            return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
        }
        PyObject* found = PyObject_CallNoArgs(clock);
        if (!found) throw PythonError();
        const double time = PyFloat_AsDouble(found);
        Py_DECREF(found);
        if (time == -1 && PyErr_Occurred()) throw PythonError();
        return time;
    }
    void report() {
        PyObject *a = seconds.tuple(), *b = chars.tuple();
        PyObject* done = a && b ? PyObject_CallFunction(settle, "LLOO", static_cast<long long>(total),
                                                        static_cast<long long>(forwarded), a, b)
                                : nullptr;
        Py_XDECREF(a);
        Py_XDECREF(b);
        if (!done) throw PythonError();
        Py_DECREF(done);
        total = forwarded = 0;
        since = 0;
        settled = true;
    }
};

// An owned reference, given up at the end of a block.
struct Held {
    PyObject* object;
    explicit Held(PyObject* o) : object(o) {
        if (!o) throw PythonError();
    }
    ~Held() { Py_XDECREF(object); }
    Held(const Held&) = delete;
    PyObject* release() { return std::exchange(object, nullptr); }
};

// False where the document has more to count than its characters.
bool add_chars(Loop& loop, PyObject* document) {
    const Held metadata(PyObject_GetAttr(document, loop.metadata));
    if (!PyDict_CheckExact(metadata.object)) return false;
    PyObject* tokens = PyDict_GetItemWithError(metadata.object, loop.token_count);
    if (tokens) return false;
    if (PyErr_Occurred()) throw PythonError();
    const Held text(PyObject_GetAttr(document, loop.text));
    if (!PyUnicode_CheckExact(text.object)) return false;
    loop.chars.add(static_cast<double>(PyUnicode_GET_LENGTH(text.object)));
    return true;
}

void keep(Loop& loop, PyObject* document) {
    ++loop.forwarded;
    if (!add_chars(loop, document)) {
        loop.report();
        const Held chars(PyObject_CallOneArg(loop.measure, document));
        if (!loop.chars.parse(chars.object)) throw PythonError();
    }
    if (!std::exchange(loop.kept, true) || loop.since >= kSettleEvery) loop.report();
}

// Calls the filter, and counts the call also where it raises.
PyObject* judge(Loop& loop, PyObject* document) {
    const double start = loop.now();
    PyObject* verdict = PyObject_CallOneArg(loop.filter, document);
    if (!verdict) {
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        loop.seconds.add(loop.now() - start);
        PyErr_Restore(type, value, trace);
        throw PythonError();
    }
    const Held held(verdict);
    loop.seconds.add(loop.now() - start);
    ++loop.total;
    ++loop.since;
    return Py_NewRef(verdict);
}

PyObject* loop_next(PyObject* self) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        auto& loop = unbox<Loop>(self);
        for (;;) {
            PyObject* next = PyIter_Next(loop.documents);
            if (!next) return nullptr;  // the end, or an exception
            Held document(next);
            const Held verdict(judge(loop, next));
            bool kept = verdict.object == Py_True;
            if (!kept) {
                // The labels of the statistics come in the order of their first use.
                if (!loop.settled || loop.since >= kSettleEvery) loop.report();
                const Held answer(PyObject_CallFunctionObjArgs(loop.decide, next, verdict.object, nullptr));
                kept = answer.object == Py_True;
            }
            if (!kept) continue;
            keep(loop, next);
            return document.release();
        }
    });
}

// Loop(documents, filter, decide, settle, measure, seconds, chars, clock). `decide(document, verdict)` says whether a
// verdict other than True keeps a document, and handles one that it does not keep; `settle(total, forwarded, seconds, chars)`
// takes documents since the last call, and the two statistics as they are now, which begin as given; `measure(document)`
// counts the length of one that is not a plain str alone, and gives the statistic; a clock of None is the machine's own.
int loop_init(PyObject* self, PyObject* args, PyObject*) {
    return guarded(-1, [&] {
        PyObject *documents, *filter, *decide, *settle, *measure, *seconds, *chars, *clock;
        if (!PyArg_ParseTuple(args, "OOOOOO!O!O", &documents, &filter, &decide, &settle, &measure, &PyTuple_Type,
                              &seconds, &PyTuple_Type, &chars, &clock))
            return -1;
        auto loop = std::make_unique<Loop>();
        if (!loop->seconds.parse(seconds) || !loop->chars.parse(chars)) return -1;
        loop->documents = PyObject_GetIter(documents);
        if (!loop->documents) return -1;
        loop->filter = Py_NewRef(filter);
        loop->decide = Py_NewRef(decide);
        loop->settle = Py_NewRef(settle);
        loop->measure = Py_NewRef(measure);
        loop->clock = Py_NewRef(clock);
        loop->text = PyUnicode_InternFromString("text");
        loop->metadata = PyUnicode_InternFromString("metadata");
        loop->token_count = PyUnicode_InternFromString("token_count");
        if (!loop->text || !loop->metadata || !loop->token_count) return -1;
        put(self, std::move(loop));
        return 0;
    });
}

PyObject* loop_report(PyObject* self, PyObject*) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        auto& loop = unbox<Loop>(self);
        if (loop.seconds.n > 0) loop.report();
        Py_RETURN_NONE;
    });
}

PyMethodDef loop_methods[] = {
    {"settle", loop_report, METH_NOARGS, "settle(): hand over the figures of what has been seen, if anything"},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot loop_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_box<Loop>)},
    {Py_tp_init, reinterpret_cast<void*>(loop_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(delete_box<Loop>)},
    {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
    {Py_tp_iternext, reinterpret_cast<void*>(loop_next)},
    {Py_tp_methods, loop_methods},
    {Py_tp_doc, const_cast<char*>("Loop(documents, filter, decide, settle, measure, seconds, chars, clock)")},
    {0, nullptr},
};
PyType_Spec loop_spec = {"filters._native.Loop", sizeof(Box<Loop>), 0, Py_TPFLAGS_DEFAULT, loop_slots};

}  // namespace

int add_loop(PyObject* module) { return add_type(module, "Loop", &loop_spec); }

}  // namespace smol::python
