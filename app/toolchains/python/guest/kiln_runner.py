"""Runs one function of an author's source. The component is this, with CPython and the library in its memory."""

import ast
import binascii
import gc
import inspect
import json
import linecache
import marshal
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any, NoReturn

import kiln_library
import wit_world
from componentize_py_types import Err
from kiln_machine import begin, flush, install
from kiln_waiting import Loop

_NAME = "source"
_FILE = "source.py"
_OURS = __file__.removesuffix("runner.py")
_LIBRARY = frozenset(sys.modules) | frozenset(sys.builtin_module_names)


class WitWorld(wit_world.WitWorld):
    """The component's exports."""

    def handle(self, code: str, input: str, context: str, environment: str, seed: str) -> str:  # noqa: A002
        """Run a source's handle once; does not return where it fails."""
        try:
            begin(json.loads(environment), seed)
            value = _call(_module(code).handle, json.loads(input), json.loads(context))
        except BaseException as error:  # noqa: BLE001 - whatever an author raises ends here
            _fail(error)
        answer = _text(value)
        flush()
        return answer

    def compile(self, source: str) -> str:
        """The bytecode of a source, in base64."""
        try:
            tree = ast.parse(source, _FILE)
            code = compile(tree, _FILE, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise Err(f"{error.lineno or 1}:{error.offset or 1}: {error.msg}") from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise Err(f"1:1: {str(error) or type(error).__name__}") from error
        fault = _absent(tree) or _handle_missing(tree)
        if fault:
            raise Err(fault)
        return binascii.b2a_base64(marshal.dumps(code), newline=False).decode()


def _module(code: str) -> types.ModuleType:
    module = types.ModuleType(_NAME)
    module.__file__ = _FILE
    sys.modules[_NAME] = module
    # The bytecode is no more trusted than the source: both are the author's, in a sandbox of their own.
    exec(marshal.loads(binascii.a2b_base64(code)), module.__dict__)  # noqa: S102, S302
    return module


def _call(function: Callable[..., Any], value: Any, context: dict[str, Any]) -> Any:
    answer = function(value, context) if _wants_context(function) else function(value)
    return Loop().run_until_complete(answer) if inspect.isawaitable(answer) else answer


def _wants_context(function: Callable[..., Any]) -> bool:
    """Whether two parameters fit, as for nearly all functions their code object says."""
    code = getattr(function, "__code__", None)
    if code is not None and not hasattr(function, "__wrapped__"):
        return code.co_argcount >= 2 or bool(code.co_flags & inspect.CO_VARARGS)
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    return True


def _text(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair: its escape is text that the host can say what is wrong with.
        return json.dumps(value, separators=(",", ":"))
    except MemoryError as error:
        _fail(error)
    except (TypeError, ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        flush()
        wit_world.fail("INVALID_OUTPUT", f"The function's output is not JSON: {reason}.", "")
    return text


def _fail(error: BaseException) -> NoReturn:
    """End the execution; the log gets the author's part of the traceback."""
    place, failure = _place(error), "FUNCTION_ERROR"
    match error:
        case MemoryError():
            failure = "OUT_OF_MEMORY"
            # What the author's variables hold is what is needed to say so.
            traceback.clear_frames(error.__traceback__)
        case RecursionError():
            failure = "STACK_OVERFLOW"
        case _:
            _log(error)
    flush()
    wit_world.fail(failure, _sentence(error), place)
    raise error


def _place(error: BaseException) -> str:
    """Where the author's innermost call stood."""
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == _FILE]
    return f"{_FILE}:{lines[-1]}" if lines else ""


def _sentence(error: BaseException) -> str:
    """The last line of a traceback."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in {"builtins", _NAME} else f"{kind.__module__}.{kind.__qualname__}"
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - the author wrote __str__, too
        said = ""
    return f"{name}: {said}" if said else name


def _log(error: BaseException) -> None:
    source = wit_world.source()
    linecache.cache[_FILE] = (len(source), None, source.splitlines(keepends=True), _FILE)
    try:
        told = traceback.TracebackException.from_exception(error)
        _leave_out_ours(told)
        sys.__stderr__.write("".join(told.format()))
    except Exception:  # noqa: BLE001 - what is being told has failed already, and is told all the same
        return


def _leave_out_ours(told: traceback.TracebackException | None) -> None:
    while told is not None:
        told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(_OURS)]
        told = told.__cause__ or told.__context__


def _absent(tree: ast.Module) -> str:
    """The first import that fails whenever the source is read."""
    for statement in tree.body:
        match statement:
            case ast.Import(names=names):
                wanted = [name.name for name in names]
            case ast.ImportFrom(module=str(module), level=0):
                wanted = [module]
            case _:
                continue
        for name in wanted:
            if name not in _LIBRARY and name != "__future__":
                place = f"{statement.lineno}:{statement.col_offset + 1}"
                return f"{place}: there is no module {name} here; only Python's own library can be imported"
    return ""


def _handle_missing(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name="handle") | ast.AsyncFunctionDef(name="handle") | ast.ClassDef(name="handle"):
                return ""
            case ast.Name(id="handle", ctx=ast.Store()):
                return ""
            case ast.alias(name="*") | ast.alias(asname="handle") | ast.alias(name="handle", asname=None):
                return ""
    return "1:1: there is no function named handle: write def handle(input, context)"


install()
# What lies in memory already is nobody's garbage, and looking through it would copy its pages.
gc.collect()
gc.freeze()
