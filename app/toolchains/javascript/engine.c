/* QuickJS as the body of every function in JavaScript. `start` runs once for all functions and `prepare` once for each;
 * what memory holds after them is kept, and every execution begins there, with `handle`.
 */
#include "kiln.h"
#include "quickjs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wasi/libc-environ.h>

/* Of the module's stack, which the linker gives 1 MiB. */
#define STACK_BYTES (768 * 1024)
/* Most executions end before this much is allocated, and then nothing is ever collected. */
#define COLLECT_BYTES (8 * 1024 * 1024)
/* A level of the log. */
#define ERROR 3
#define EXPORT(name) __attribute__((export_name(name)))

__attribute__((import_module("kiln"), import_name("log"))) void host_log(int32_t level, const char *text, size_t length);

static JSContext *context;
/* The functions that `prelude.js` returns, and the author's. */
static JSValue begin, fire, describe, translate, handle;

static uint64_t chance[64];
static size_t chances;

/* ---- What the prelude is given ---- */

static JSValue native_log(JSContext *ctx, JSValueConst this, int count, JSValueConst *values) {
    int32_t level = 0;
    size_t length = 0;
    const char *text = JS_ToCStringLen(ctx, &length, values[1]);
    if (!text || JS_ToInt32(ctx, &level, values[0])) return JS_EXCEPTION;
    host_log(level, text, length);
    JS_FreeCString(ctx, text);
    return JS_UNDEFINED;
}

static JSValue native_sleep(JSContext *ctx, JSValueConst this, int count, JSValueConst *values) {
    double ms = 0;
    if (JS_ToFloat64(ctx, &ms, values[0])) return JS_EXCEPTION;
    struct timespec pause = {.tv_sec = (time_t)(ms / 1000)};
    pause.tv_nsec = (long)((ms - pause.tv_sec * 1000.0) * 1e6);
    nanosleep(&pause, NULL);
    return JS_UNDEFINED;
}

static JSValue native_now(JSContext *ctx, JSValueConst this, int count, JSValueConst *values) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return JS_NewFloat64(ctx, now.tv_sec * 1000.0 + now.tv_nsec / 1000000);
}

/* A number from 0 to 1 without 1, of the 53 bits that a double has. */
static JSValue native_random(JSContext *ctx, JSValueConst this, int count, JSValueConst *values) {
    if (!chances) {
        getentropy(chance, 256);
        chances = 256 / sizeof *chance;
    }
    return JS_NewFloat64(ctx, (double)(chance[--chances] >> 11) * 0x1p-53);
}

static JSValue native_fill(JSContext *ctx, JSValueConst this, int count, JSValueConst *values) {
    size_t length = 0;
    uint8_t *bytes = JS_GetArrayBuffer(ctx, &length, values[0]);
    uint32_t from = 0, wanted = 0;
    if (!bytes || JS_ToUint32(ctx, &from, values[1]) || JS_ToUint32(ctx, &wanted, values[2])) return JS_EXCEPTION;
    if (from > length || wanted > length - from) return JS_ThrowRangeError(ctx, "outside of the buffer");
    for (size_t done = 0; done < wanted; done += 256)
        getentropy(bytes + from + done, wanted - done < 256 ? wanted - done : 256);
    return JS_UNDEFINED;
}

static JSValue native_environment(JSContext *ctx, JSValueConst this, int count, JSValueConst *values) {
    JSValue variables = JS_NewObject(ctx);
    /* What the library read when the engine was made is nobody's. */
    __wasilibc_deinitialize_environ();
    for (char **variable = __wasilibc_get_environ(); *variable; variable++) {
        const char *equals = strchr(*variable, '=');
        JSAtom name = JS_NewAtomLen(ctx, *variable, equals - *variable);
        JS_DefinePropertyValue(ctx, variables, name, JS_NewString(ctx, equals + 1), JS_PROP_C_W_E);
        JS_FreeAtom(ctx, name);
    }
    return variables;
}

static JSValue native_context(JSContext *ctx, JSValueConst this, int count, JSValueConst *values) {
    return JS_NewString(ctx, kiln_context());
}

static const JSCFunctionListEntry NATIVE[] = {
    JS_CFUNC_DEF("log", 2, native_log),       JS_CFUNC_DEF("sleep", 1, native_sleep),
    JS_CFUNC_DEF("now", 0, native_now),       JS_CFUNC_DEF("random", 0, native_random),
    JS_CFUNC_DEF("fill", 3, native_fill),     JS_CFUNC_DEF("environment", 0, native_environment),
    JS_CFUNC_DEF("context", 0, native_context),
};

/* ---- Ending ---- */

/* The first promise that was rejected and that nobody has looked after since, and why it was. */
static JSValue lost = JS_UNDEFINED, reason = JS_UNDEFINED;

static void note_rejection(JSContext *ctx, JSValueConst promise, JSValueConst why, bool is_handled, void *opaque) {
    if (is_handled) {
        if (JS_VALUE_GET_PTR(promise) == JS_VALUE_GET_PTR(lost)) lost = reason = JS_UNDEFINED;
    } else if (JS_IsUndefined(lost)) {
        lost = JS_DupValue(ctx, promise), reason = JS_DupValue(ctx, why);
    }
}

/* What was thrown, as the prelude describes it: the message, and the place on a line of its own. */
static const char *described(JSValue thrown) {
    JSValue told = JS_Call(context, describe, JS_UNDEFINED, 1, &thrown);
    const char *text = JS_IsException(told) ? NULL : JS_ToCString(context, told);
    return text ? text : "an error was thrown that cannot be shown";
}

static void fail_with(JSValue thrown) {
    kiln_fail("%s", described(thrown));
}

static JSValue checked(JSValue value) {
    if (JS_IsException(value)) fail_with(JS_GetException(context));
    return value;
}

static void log_loss(const char *why) {
    char line[2048];
    int length = snprintf(line, sizeof line, "Nobody caught this: %s", why);
    host_log(ERROR, line, length < (int)sizeof line ? length : (int)sizeof line - 1);
}

/* Do what was put off until nothing is left or the promise is settled; a value that is no promise is itself. */
static JSValue settled(JSValue value) {
    for (;;) {
        JSContext *of;
        int left;
        while ((left = JS_ExecutePendingJob(JS_GetRuntime(context), &of)) > 0) continue;
        if (left < 0) fail_with(JS_GetException(of));
        switch (JS_PromiseState(context, value)) {
        case JS_PROMISE_NOT_A_PROMISE: return value;
        case JS_PROMISE_FULFILLED: return JS_PromiseResult(context, value);
        case JS_PROMISE_REJECTED: fail_with(JS_PromiseResult(context, value));
        case JS_PROMISE_PENDING: break;
        }
        if (JS_ToBool(context, checked(JS_Call(context, fire, JS_UNDEFINED, 0, NULL)))) continue;
        if (!JS_IsUndefined(lost)) fail_with(reason);
        kiln_fail("a promise is awaited that nothing will settle");
    }
}

/* ---- What the host calls ---- */

static JSModuleDef *no_module(JSContext *ctx, const char *name, void *opaque) {
    JS_ThrowReferenceError(ctx, "there is no module '%s': a function is one file", name);
    return NULL;
}

static JSValue member(JSValueConst object, const char *name) {
    return checked(JS_GetPropertyStr(context, object, name));
}

EXPORT("start") void start(char *prelude, size_t length) {
    JSRuntime *runtime = JS_NewRuntime();
    context = JS_NewContext(runtime);
    JS_SetMaxStackSize(runtime, STACK_BYTES);
    JS_SetGCThreshold(runtime, COLLECT_BYTES);
    JS_SetModuleLoaderFunc(runtime, NULL, no_module, NULL);
    JS_SetHostPromiseRejectionTracker(runtime, note_rejection, NULL);
    JSValue native = JS_NewObject(context);
    JS_SetPropertyFunctionList(context, native, NATIVE, sizeof NATIVE / sizeof *NATIVE);
    JSValue make = checked(JS_Eval(context, prelude, length, "prelude.js", JS_EVAL_TYPE_GLOBAL));
    JSValue made = checked(JS_Call(context, make, JS_UNDEFINED, 1, &native));
    begin = member(made, "begin"), fire = member(made, "fire"), describe = member(made, "describe");
    translate = member(made, "translate");
    JS_RunGC(runtime);
}

EXPORT("prepare") void prepare(char *source, size_t length, const char *name, const char *map) {
    JSRuntime *runtime = JS_GetRuntime(context);
    JS_UpdateStackTop(runtime);
    JSValue told = JS_NewString(context, map);
    checked(JS_Call(context, translate, JS_UNDEFINED, 1, &told));
    int flags = JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY;
    JSValue compiled = checked(JS_Eval(context, source, length, name, flags));
    JSModuleDef *module = JS_VALUE_GET_PTR(compiled);
    settled(checked(JS_EvalFunction(context, compiled)));
    JSValue exports = checked(JS_GetModuleNamespace(context, module));
    handle = member(exports, "default");
    if (!JS_IsFunction(context, handle)) handle = member(exports, "handle");
    if (!JS_IsFunction(context, handle)) kiln_fail("there is no `export default function handle(input, context)`");
    JS_RunGC(runtime);
    memset(source, 0, length);
    free(source);
}

char *kiln_handle(char *input, size_t length) {
    JS_UpdateStackTop(JS_GetRuntime(context));
    chances = 0;
    JSValue given[] = {handle, JS_NewStringLen(context, input, length)};
    JSValue output = settled(checked(JS_Call(context, begin, JS_UNDEFINED, 2, given)));
    if (!JS_IsUndefined(lost)) log_loss(described(reason));
    return (char *)JS_ToCString(context, output);
}
