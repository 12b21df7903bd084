import { machinistError } from '@machinist/api'
import { callPatches } from './call-patches.ts'
import { fusedPatches, instructionPatches } from './fused-patches.ts'
import { objectPatches } from './object-patches.ts'
import { shapePatches } from './shape-patches.ts'

/** A place in the engine's source that is not as it must be. */
export interface Patch {
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
    why: 'a negative BigInt compared with a negative number was the greater one where it is the smaller',
    from: `            if (f < e)
                return -1;
            else
                return 1;
        } else {
            mant = (mant |`,
    to: `            return (f < e) == a_sign ? 1 : -1;
        } else {
            mant = (mant |`,
  },
  {
    why: 'a BigInt of more than 64 bits became greater by 2^32 - 1 where 1 is to be taken from it',
    from: 'p2 = js_bigint_set_si(&buf2, 2 * (op - OP_dec) - 1);',
    to: 'p2 = js_bigint_set_si(&buf2, op == OP_inc ? 1 : -1);',
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
  {
    why: 'numbers that are no integers of 32 bits, as addresses and times are, went a long way',
    from: `static no_inline __exception int js_binary_logic_slow(JSContext *ctx,
                                                      JSValue *sp,
                                                      OPCodeEnum op)
{
`,
    to: `/* Two numbers, of which one may be an integer of 32 bits and the other not. */
static force_inline BOOL are_numbers(JSValueConst one, JSValueConst other)
{
    return JS_IsNumber(one) && JS_IsNumber(other);
}
static force_inline double number_of(JSValueConst value)
{
    return JS_VALUE_GET_TAG(value) == JS_TAG_INT ? JS_VALUE_GET_INT(value) : JS_VALUE_GET_FLOAT64(value);
}
/* What ToInt32 makes of a number that is not huge. */
static force_inline BOOL low_bits(JSValueConst value, uint32_t *bits)
{
    if (!JS_IsNumber(value))
        return FALSE;
    double number = number_of(value);
    if (!(number > -0x1p62 && number < 0x1p62))
        return FALSE;
    *bits = (uint32_t)(int64_t)number;
    return TRUE;
}
static no_inline __exception int js_binary_logic_slow(JSContext *ctx,
                                                      JSValue *sp,
                                                      OPCodeEnum op)
{
    uint32_t left, right;
    if (low_bits(sp[-2], &left) && low_bits(sp[-1], &right)) {
        switch (op) {
        case OP_and: left &= right; break;
        case OP_or: left |= right; break;
        case OP_xor: left ^= right; break;
        case OP_shl: left <<= right & 31; break;
        case OP_sar: left = (uint32_t)((int32_t)left >> (right & 31)); break;
        default: abort();
        }
        sp[-2] = JS_NewInt32(ctx, (int32_t)left);
        return 0;
    }
`,
  },
  {
    why: 'the same',
    from: `static no_inline int js_shr_slow(JSContext *ctx, JSValue *sp)
{
`,
    to: `static no_inline int js_shr_slow(JSContext *ctx, JSValue *sp)
{
    uint32_t left, right;
    if (low_bits(sp[-2], &left) && low_bits(sp[-1], &right)) {
        sp[-2] = JS_NewUint32(ctx, left >> (right & 31));
        return 0;
    }
`,
  },
  {
    why: 'the same; and a difference of two addresses is an integer again',
    from: `                } else if (JS_VALUE_IS_BOTH_FLOAT(op1, op2)) {
                    sp[-2] = __JS_NewFloat64(ctx, JS_VALUE_GET_FLOAT64(op1) +
                                             JS_VALUE_GET_FLOAT64(op2));
`,
    to: `                } else if (are_numbers(op1, op2)) {
                    sp[-2] = JS_NewFloat64(ctx, number_of(op1) + number_of(op2));
`,
  },
  {
    why: 'the same; and a difference of two addresses is an integer again',
    from: `                } else if (JS_VALUE_IS_BOTH_FLOAT(op1, op2)) {
                    sp[-2] = __JS_NewFloat64(ctx, JS_VALUE_GET_FLOAT64(op1) -
                                             JS_VALUE_GET_FLOAT64(op2));
`,
    to: `                } else if (are_numbers(op1, op2)) {
                    sp[-2] = JS_NewFloat64(ctx, number_of(op1) - number_of(op2));
`,
  },
  {
    why: 'the same',
    from: `                } else if (JS_VALUE_IS_BOTH_FLOAT(op1, op2)) {
                    d = JS_VALUE_GET_FLOAT64(op1) * JS_VALUE_GET_FLOAT64(op2);
`,
    to: `                } else if (are_numbers(op1, op2)) {
                    d = number_of(op1) * number_of(op2);
`,
  },
  {
    why: 'the same',
    from: `                } else if (JS_VALUE_IS_BOTH_FLOAT(*pv, op2)) {
                    *pv = __JS_NewFloat64(ctx, JS_VALUE_GET_FLOAT64(*pv) +
                                               JS_VALUE_GET_FLOAT64(op2));
`,
    to: `                } else if (are_numbers(*pv, op2)) {
                    *pv = JS_NewFloat64(ctx, number_of(*pv) + number_of(op2));
`,
  },
  {
    why: 'the same',
    from: `                    sp[-2] = JS_NewBool(ctx, JS_VALUE_GET_INT(op1) binary_op JS_VALUE_GET_INT(op2)); \\
                    sp--;                                               \\
                } else {                                                \\
`,
    to: `                    sp[-2] = JS_NewBool(ctx, JS_VALUE_GET_INT(op1) binary_op JS_VALUE_GET_INT(op2)); \\
                    sp--;                                               \\
                } else if (are_numbers(op1, op2)) {                     \\
                    sp[-2] = JS_NewBool(ctx, number_of(op1) binary_op number_of(op2)); \\
                    sp--;                                               \\
                } else {                                                \\
`,
  },
  {
    why: 'a variable of `let` is counted by what gives its old value besides, wanted or not: without a call, too',
    from: `        CASE(OP_post_inc):
        CASE(OP_post_dec):
            sf->cur_pc = pc;
`,
    to: `        CASE(OP_post_inc):
        CASE(OP_post_dec):
            if (JS_VALUE_GET_TAG(sp[-1]) == JS_TAG_INT) {
                sp[0] = JS_NewInt64(ctx, (int64_t)JS_VALUE_GET_INT(sp[-1]) + (opcode == OP_post_inc ? 1 : -1));
                sp++;
                BREAK;
            }
            sf->cur_pc = pc;
`,
  },
  {
    why: 'nobody interrupts the program',
    from: { function: 'static inline __exception int js_poll_interrupts(' },
    to: `static inline __exception int js_poll_interrupts(JSContext *ctx)
{
    return 0;
}
`,
  },
  {
    why: 'the number of a symbol is found without a call',
    from: { function: 'static JSAtom js_symbol_to_atom(JSContext *ctx, JSValue val)\n' },
    to: `static JSAtom js_symbol_to_atom(JSContext *ctx, JSValue val)
{
    JSAtomStruct *p = JS_VALUE_GET_PTR(val);
    return likely(p->atom_type == JS_ATOM_TYPE_SYMBOL) ? p->hash_next : js_get_atom_index(ctx->rt, p);
}
`,
  },
  {
    why: 'a variable of a block was looked at each time for whether it had its first value: where that stands before in the text of the function, and so comes before in time (unless among the cases of a switch), it has',
    from: '    int func_pool_idx : 24; /* only used during compilation : index in\n',
    to: '    uint8_t is_ready : 1; /* only used during compilation: it has its first value from here on */\n    uint8_t is_checked : 1; /* only used during compilation: somewhere that is to be found out */\n    int func_pool_idx : 22; /* only used during compilation : index in\n',
  },
  {
    why: 'the same',
    from: '    int first;   /* index into fd->vars of the last variable in this scope */\n} JSVarScope;\n',
    to: '    int first;   /* index into fd->vars of the last variable in this scope */\n    int of_switch; /* what stands before need not come before */\n} JSVarScope;\n',
  },
  {
    why: 'the same',
    from: '        fd->scopes[scope].first = fd->scope_first;\n',
    to: '        fd->scopes[scope].first = fd->scope_first;\n        fd->scopes[scope].of_switch = FALSE;\n',
  },
  {
    why: 'the same',
    from: '    fd->scopes[0].parent = -1;\n',
    to: '    fd->scopes[0].parent = -1;\n    fd->scopes[0].of_switch = FALSE;\n',
  },
  {
    why: 'the same',
    from: '            push_scope(s);\n            label_break = new_label(s);\n            push_break_entry(s->cur_func, &break_entry,\n                             label_name, label_break, -1, 1);\n\n            if (js_parse_expect(s, \'{\'))\n',
    to: '            push_scope(s);\n            s->cur_func->scopes[s->cur_func->scope_level].of_switch = TRUE;\n            label_break = new_label(s);\n            push_break_entry(s->cur_func, &break_entry,\n                             label_name, label_break, -1, 1);\n\n            if (js_parse_expect(s, \'{\'))\n',
  },
  {
    why: 'the same',
    from: '                    if (s->vars[var_idx].is_lexical)\n                        get_op = OP_get_loc_check;\n',
    to: '                    if (is_to_be_checked(&s->vars[var_idx]))\n                        get_op = OP_get_loc_check;\n',
  },
  {
    why: 'the same',
    from: `                            if (var_name == JS_ATOM_this)
                                dbuf_putc(bc, OP_put_loc_check_init);
                            else
                                dbuf_putc(bc, OP_put_loc);
                        } else {
                            dbuf_putc(bc, OP_put_loc_check);
                        }
`,
    to: `                            if (var_name == JS_ATOM_this)
                                dbuf_putc(bc, OP_put_loc_check_init);
                            else {
                                dbuf_putc(bc, OP_put_loc);
                                s->vars[var_idx].is_ready = !s->scopes[s->vars[var_idx].scope_level].of_switch;
                            }
                        } else {
                            dbuf_putc(bc, is_to_be_checked(&s->vars[var_idx]) ? OP_put_loc_check : OP_put_loc);
                        }
`,
  },
  {
    why: 'the same',
    from: `                        } else {
                            dbuf_putc(bc, OP_get_loc_check);
                        }
`,
    to: `                        } else {
                            dbuf_putc(bc, is_to_be_checked(&s->vars[var_idx]) ? OP_get_loc_check : OP_get_loc);
                        }
`,
  },
  {
    why: 'the same',
    from: 'static int optimize_scope_make_ref(JSContext *ctx, JSFunctionDef *s,\n',
    to: `static BOOL is_to_be_checked(JSVarDef *vd)
{
    if (!vd->is_lexical || vd->is_ready)
        return FALSE;
    vd->is_checked = TRUE;
    return TRUE;
}

static int optimize_scope_make_ref(JSContext *ctx, JSFunctionDef *s,
`,
  },
  {
    why: 'the same',
    from: `                    if (vd->scope_level == scope) {
                        if (scope_idx != s->arguments_arg_idx) {
`,
    to: `                    if (vd->scope_level == scope) {
                        vd->is_ready = FALSE;
                        if (scope_idx != s->arguments_arg_idx) {
`,
  },
  {
    why: 'properties are looked up where they are wanted, without a call',
    from: `#define FUNC_RET_AWAIT         0
`,
    to: `/* A property that an object or its prototypes have as a plain value, or by a getter, which is called, or handed over where that is wanted; all else is JS_GetProperty's. */
static force_inline JSValue get_field(JSContext *ctx, JSValueConst of, JSAtom atom, JSObject **getter)
{
    if (likely(JS_VALUE_GET_TAG(of) == JS_TAG_OBJECT)) {
        JSObject *p = JS_VALUE_GET_OBJ(of);
        for (;;) {
            JSProperty *property;
            JSShapeProperty *found = find_own_property(&property, p, atom);
            if (found) {
                if (likely(!(found->flags & JS_PROP_TMASK)))
                    return JS_DupValue(ctx, property->u.value);
                if ((found->flags & JS_PROP_TMASK) == JS_PROP_GETSET && property->u.getset.getter && getter) {
                    *getter = property->u.getset.getter;
                    return JS_UNDEFINED;
                }
                if ((found->flags & JS_PROP_TMASK) == JS_PROP_GETSET && property->u.getset.getter)
                    return JS_CallFree(ctx, JS_DupValue(ctx, JS_MKPTR(JS_TAG_OBJECT, property->u.getset.getter)), of, 0, NULL);
                break;
            }
            if (p->is_exotic) {
                /* Of an array that is its elements alone. */
                if (p->class_id != JS_CLASS_ARRAY || __JS_AtomIsTaggedInt(atom)) {
                    if (atom == JS_ATOM_length && p->class_id >= JS_CLASS_UINT8C_ARRAY && p->class_id <= JS_CLASS_FLOAT64_ARRAY)
                        return JS_NewInt32(ctx, p->u.array.count);
                    break;
                }
            }
            p = p->shape->proto;
            if (!p)
                return JS_UNDEFINED;
        }
    }
    return JS_GetProperty(ctx, of, atom);
}
/* An element of an array, of one of bytes, or of one of words; JS_EXCEPTION for all else. */
static force_inline JSValue get_element(JSContext *ctx, JSValueConst of, JSValueConst index)
{
    if (JS_VALUE_GET_TAG(of) == JS_TAG_OBJECT && JS_VALUE_GET_TAG(index) == JS_TAG_INT) {
        JSObject *p = JS_VALUE_GET_OBJ(of);
        uint32_t at = JS_VALUE_GET_INT(index);
        if (p->class_id == JS_CLASS_UINT32_ARRAY) {
            if (likely(at < p->u.array.count))
                return JS_NewUint32(ctx, p->u.array.u.uint32_ptr[at]);
        } else if (p->class_id == JS_CLASS_ARRAY) {
            if (likely(at < p->u.array.count))
                return JS_DupValue(ctx, p->u.array.u.values[at]);
        } else if (p->class_id == JS_CLASS_UINT8_ARRAY && at < p->u.array.count)
            return JS_NewInt32(ctx, p->u.array.u.uint8_ptr[at]);
    }
    return JS_EXCEPTION;
}
#define FUNC_RET_AWAIT         0
`,
  },
  {
    why: 'the same',
    from: `                sf->cur_pc = pc;
                val = JS_GetProperty(ctx, sp[-1], JS_ATOM_length);
`,
    to: `                sf->cur_pc = pc;
                val = get_field(ctx, sp[-1], JS_ATOM_length, NULL);
`,
  },
  {
    why: 'the same',
    from: `                sf->cur_pc = pc;
                val = JS_GetPropertyValue(ctx, sp[-2], sp[-1]);
                JS_FreeValue(ctx, sp[-2]);
                sp[-2] = val;
                sp--;
`,
    to: `                val = get_element(ctx, sp[-2], sp[-1]);
                if (JS_IsException(val)) {
                    sf->cur_pc = pc;
                    val = JS_GetPropertyValue(ctx, sp[-2], sp[-1]);
                }
                JS_FreeValue(ctx, sp[-2]);
                sp[-2] = val;
                sp--;
`,
  },
  {
    why: 'that an object has the private methods of its class, TypeScript has seen to',
    from: `                int ret = JS_CheckBrand(ctx, sp[-2], sp[-1]);
                if (ret < 0)
                    goto exception;
                if (!ret) {
                    JS_ThrowTypeError(ctx, "invalid brand on object");
                    goto exception;
                }
`,
    to: '',
  },
  {
    why: 'booleans, null and undefined are compared without a call',
    from: `            OP_CMP(OP_strict_eq, ==, js_strict_eq_slow(ctx, sp, 0));
            OP_CMP(OP_strict_neq, !=, js_strict_eq_slow(ctx, sp, 1));
`,
    to: `            OP_CMP(OP_strict_eq, ==, compared_plainly(sp, 0) ? 0 : js_strict_eq_slow(ctx, sp, 0));
            OP_CMP(OP_strict_neq, !=, compared_plainly(sp, 1) ? 0 : js_strict_eq_slow(ctx, sp, 1));
`,
  },
  {
    why: 'the same',
    from: 'static no_inline int js_shr_slow(JSContext *ctx, JSValue *sp)\n',
    to: `/* Two values that are integers, booleans, null or undefined. */
static force_inline BOOL compared_plainly(JSValue *sp, BOOL not)
{
    if ((uint32_t)JS_VALUE_GET_TAG(sp[-2]) > JS_TAG_UNDEFINED || (uint32_t)JS_VALUE_GET_TAG(sp[-1]) > JS_TAG_UNDEFINED)
        return FALSE;
    sp[-2] = JS_MKVAL(JS_TAG_BOOL, (JS_VALUE_GET_TAG(sp[-2]) == JS_VALUE_GET_TAG(sp[-1]) && JS_VALUE_GET_INT(sp[-2]) == JS_VALUE_GET_INT(sp[-1])) != not);
    return TRUE;
}
static no_inline int js_shr_slow(JSContext *ctx, JSValue *sp)
`,
  },
  {
    why: 'the same',
    from: `        CASE(OP_get_field):
            {
                JSValue val;
                JSAtom atom;
                atom = get_u32(pc);
                pc += 4;

                sf->cur_pc = pc;
                val = JS_GetProperty(ctx, sp[-1], atom);
`,
    to: `        CASE(OP_get_field):
            {
                JSValue val;
                JSAtom atom;
                JSObject *getter = NULL;
                atom = get_u32(pc);
                pc += 4;

                sf->cur_pc = pc;
                val = get_field(ctx, sp[-1], atom, &getter);
                if (unlikely(getter)) {
                    *sp++ = JS_DupValue(ctx, JS_MKPTR(JS_TAG_OBJECT, getter));
                    goto call_getter;
                }
`,
  },
  {
    why: 'the same',
    from: `        CASE(OP_get_field2):
            {
                JSValue val;
                JSAtom atom;
                atom = get_u32(pc);
                pc += 4;

                sf->cur_pc = pc;
                val = JS_GetProperty(ctx, sp[-1], atom);
`,
    to: `        CASE(OP_get_field2):
            {
                JSValue val;
                JSAtom atom;
                JSObject *getter = NULL;
                atom = get_u32(pc);
                pc += 4;

                sf->cur_pc = pc;
                val = get_field(ctx, sp[-1], atom, &getter);
                if (unlikely(getter)) {
                    sp[0] = JS_DupValue(ctx, sp[-1]);
                    sp[1] = JS_DupValue(ctx, JS_MKPTR(JS_TAG_OBJECT, getter));
                    sp += 2;
                    goto call_getter;
                }
`,
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
    why: 'the same: whether a value is counted, as one comparison of 64 bits',
    from: '#define JS_VALUE_HAS_REF_COUNT(v) ((unsigned)JS_VALUE_GET_TAG(v) >= (unsigned)JS_TAG_FIRST)\n',
    to: `#ifdef JS_NAN_BOXING
#define JS_VALUE_HAS_REF_COUNT(v) ((uint64_t)((int64_t)(v) >> 32) >= (uint64_t)(int64_t)JS_TAG_FIRST)
#else
#define JS_VALUE_HAS_REF_COUNT(v) ((unsigned)JS_VALUE_GET_TAG(v) >= (unsigned)JS_TAG_FIRST)
#endif
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

/** The engine's `quickjs.c` with its defects mended; `more`: and changed in other ways, after that. @throws typed `metal-engine` when it is not the source that the patches are for */
export function mended(source: string, more: readonly Patch[] = []): string {
  return patched(source, [...patches, ...fusedPatches, ...callPatches, ...objectPatches, ...shapePatches, ...more])
}

/** The same for `quickjs-opcode.h`. */
export function mendedInstructions(source: string): string {
  return patched(source, instructionPatches)
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
