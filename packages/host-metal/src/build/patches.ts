import { machinistError } from '@machinist/api'

/** A place in the engine's source that is not as it must be. */
interface Patch {
  readonly why: string
  /** What stands there, exactly once; or how a function begins, all of which is replaced. */
  readonly from: string | { readonly function: string }
  readonly to: string
}

/** For QuickJS of April 2025, as Debian 13 has it. */
const patches: readonly Patch[] = [
  {
    why: 'there are no threads of an operating system, and bytecode must mean the same on the host that compiles it and here',
    from: '#define CONFIG_ATOMICS\n',
    to: '',
  },
  {
    why: 'BigInt.asUintN gave negative numbers, of 64 bits and more',
    from: { function: 'static JSValue js_bigint_asUintN(' },
    to: `static JSValue js_bigint_asUintN(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv, int asIntN)
{
    uint64_t bits;
    if (JS_ToIndex(ctx, &bits, argv[0]))
        return JS_EXCEPTION;
    JSValue value = JS_ToBigInt(ctx, argv[1]);
    if (JS_IsException(value))
        return value;
    if (bits == 0) {
        JS_FreeValue(ctx, value);
        return __JS_NewShortBigInt(ctx, 0);
    }
    JSBigIntBuf buf;
    JSBigInt *from = JS_VALUE_GET_TAG(value) == JS_TAG_SHORT_BIG_INT ? js_bigint_set_short(&buf, value) : JS_VALUE_GET_PTR(value);
    js_limb_t beyond = -(js_limb_t)js_bigint_sign(from);
    if (bits >= (uint64_t)from->len * JS_LIMB_BITS && (asIntN || beyond == 0))
        return value;
    if (bits > (uint64_t)(JS_BIGINT_MAX_SIZE - 1) * JS_LIMB_BITS) {
        JS_FreeValue(ctx, value);
        return JS_ThrowRangeError(ctx, "BigInt is too large to allocate");
    }
    int len = (bits + JS_LIMB_BITS - 1) / JS_LIMB_BITS, shift = -bits & (JS_LIMB_BITS - 1);
    JSBigInt *to = js_bigint_new(ctx, len + 1);
    if (!to) {
        JS_FreeValue(ctx, value);
        return JS_EXCEPTION;
    }
    for (int i = 0; i < len; i++)
        to->tab[i] = i < from->len ? from->tab[i] : beyond;
    js_limb_t top = to->tab[len - 1] << shift;
    to->tab[len - 1] = asIntN ? (js_limb_t)((js_slimb_t)top >> shift) : top >> shift;
    to->tab[len] = asIntN ? (js_limb_t)((js_slimb_t)to->tab[len - 1] >> (JS_LIMB_BITS - 1)) : 0;
    to = js_bigint_normalize(ctx, to);
    JS_FreeValue(ctx, value);
    return JS_CompactBigInt(ctx, to);
}
`,
  },
  {
    why: 'toString of a radix that is a power of two began with 0 where the highest bit of a limb is set',
    from: 'n_bits = r->len * JS_LIMB_BITS - js_limb_clz(r->tab[r->len - 1]);',
    to: 'n_bits = r->len * JS_LIMB_BITS - (r->tab[r->len - 1] ? js_limb_clz(r->tab[r->len - 1]) : JS_LIMB_BITS);',
  },
  {
    why: 'positions in the bytecode are those of the TypeScript, which the compiler on the host knows (bytecode.c)',
    from: 'static void compute_pc2line_info(JSFunctionDef *s)\n',
    to: `#ifdef MACHINIST_POSITIONS
extern int machinist_position(int line, int column, int *source_column);
extern const char *machinist_file(int line, int column);
static int position_of(GetLineColCache *cache, int *column, const uint8_t *at)
{
    int generated, line = get_line_col_cached(cache, &generated, at);
    return machinist_position(line, generated, column);
}
static JSAtom file_of(JSContext *ctx, JSFunctionDef *fd)
{
    int column, line = get_line_col_cached(fd->get_line_col_cache, &column, fd->get_line_col_cache->buf_start + fd->source_pos);
    const char *name = machinist_file(line, column);
    if (name) {
        JS_FreeAtom(ctx, fd->filename);
        fd->filename = JS_NewAtom(ctx, name);
    }
    return fd->filename;
}
#else
#define position_of get_line_col_cached
#define file_of(ctx, fd) ((fd)->filename)
#endif
static void compute_pc2line_info(JSFunctionDef *s)
`,
  },
  {
    why: 'the same',
    from: 'last_line_num = get_line_col_cached(s->get_line_col_cache,\n',
    to: 'last_line_num = position_of(s->get_line_col_cache,\n',
  },
  {
    why: 'the same',
    from: 'line_num = get_line_col_cached(s->get_line_col_cache, &col_num,\n                                           buf_start + source_pos);',
    to: 'line_num = position_of(s->get_line_col_cache, &col_num, buf_start + source_pos);',
  },
  {
    why: 'the same',
    from: 'b->debug.filename = fd->filename;',
    to: 'b->debug.filename = file_of(ctx, fd);',
  },
]

/** For its header. */
const headerPatches: readonly Patch[] = [
  {
    why: 'where all objects lie below 4 GiB, a value is 64 bits: a double, or a tag and a pointer; structures of 128 bits are kept in memory by the compiler, and the interpreter has twice the instructions',
    from: '#ifndef JS_PTR64\n#define JS_NAN_BOXING\n#endif\n\n#if defined(__SIZEOF_INT128__) && (INTPTR_MAX >= INT64_MAX)\n',
    to: `#if !defined(JS_PTR64) || defined(MACHINIST_LOW_POINTERS)
#define JS_NAN_BOXING
#endif

#if defined(__SIZEOF_INT128__) && (INTPTR_MAX >= INT64_MAX) && !defined(MACHINIST_LOW_POINTERS)
`,
  },
  {
    why: 'the same: the tag is above the pointer',
    from: '#define JS_VALUE_GET_PTR(v) (void *)(intptr_t)(v)\n',
    to: '#define JS_VALUE_GET_PTR(v) (void *)(uintptr_t)(uint32_t)(v)\n',
  },
]

/** The span of what a patch replaces. */
function find(source: string, { from }: Patch): readonly [number, number] | null {
  const text = typeof from === 'string' ? from : from.function
  const start = source.indexOf(text)
  if (start < 0 || source.includes(text, start + 1)) return null
  if (typeof from === 'string') return [start, start + text.length]
  const end = source.indexOf('\n}\n', start)
  return end < 0 ? null : [start, end + 3]
}

/** The engine's `quickjs.c` with its defects mended. @throws typed `metal-engine` when it is not the source that the patches are for */
export function mended(source: string): string {
  return patched(source, patches)
}

/** The same for `quickjs.h`. */
export function mendedHeader(source: string): string {
  return patched(source, headerPatches)
}

function patched(source: string, list: readonly Patch[]): string {
  let text = source
  for (const patch of list) {
    const span = find(text, patch)
    if (span === null) {
      throw machinistError(
        { code: 'metal-engine', part: 'metal', value: patch.why, remedy: 'Use the source of QuickJS 2025-04-26' },
        'the source of the engine is not the one that can be built',
      )
    }
    text = text.slice(0, span[0]) + patch.to + text.slice(span[1])
  }
  return text
}
