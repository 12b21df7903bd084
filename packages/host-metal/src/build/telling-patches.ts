import type { Patch } from './patches.ts'

/**
 * What has the engine tell which function begins and ends, to whoever watches the hardware: by loads that nobody wants, into the register that is always zero, which compilers never make. Their addresses say it (`bench/metal/functions.c`).
 *
 * | load | address |
 * |---|---|
 * | `lwu` | of the function of bytecode that begins, or goes on |
 * | `lbu` | of the function of C that the program called |
 * | `lb` | anything: the one that began last ends |
 * | `lhu` | 2 times a character behind a multiple of 256: name and place of the function that is about to begin for the first time, up to a 0 |
 */
export const tellingPatches: readonly Patch[] = [
  {
    why: 'functions tell that they begin',
    from: '    uint8_t is_direct_or_indirect_eval : 1; /* used by JS_GetScriptOrModuleName() */\n    /* XXX: 10 bits available */\n',
    to: '    uint8_t is_direct_or_indirect_eval : 1; /* used by JS_GetScriptOrModuleName() */\n    uint8_t told : 1;\n',
  },
  {
    why: 'the same',
    from: 'static JSValue js_call_c_function(JSContext *ctx, JSValueConst func_obj,\n                                  JSValueConst this_obj,\n                                  int argc, JSValueConst *argv, int flags)\n{\n',
    to: `#ifdef __riscv
static const uint16_t tell_characters[128] __attribute__((aligned(256)));
#define TELL(load, address) asm volatile(load " zero, 0(%0)" ::"r"(address))
static void tell_text(const char *text)
{
    for (; *text; text++)
        TELL("lhu", &tell_characters[*text & 127]);
}
static no_inline void tell_name(JSContext *ctx, JSFunctionBytecode *b)
{
    char text[160], name[64];
    int column, line = find_line_num(ctx, b, -1, &column);
    b->told = 1;
    tell_text(JS_AtomGetStr(ctx, name, sizeof(name), b->func_name));
    tell_text(" ");
    if (b->has_debug)
        tell_text(JS_AtomGetStr(ctx, text, sizeof(text), b->debug.filename));
    snprintf(text, sizeof(text), ":%d:%d", line, column);
    tell_text(text);
    TELL("lhu", tell_characters);
}
#define TELL_BEGIN(ctx, b) do { if (unlikely(!(b)->told)) tell_name(ctx, b); TELL("lwu", b); } while (0)
#else
#define TELL(load, address)
#define TELL_BEGIN(ctx, b)
#endif
static JSValue js_call_c_function(JSContext *ctx, JSValueConst func_obj,
                                  JSValueConst this_obj,
                                  int argc, JSValueConst *argv, int flags)
{
`,
  },
  {
    why: 'the same',
    from: '    func = p->u.cfunc.c_function;\n    switch(cproto) {\n',
    to: '    func = p->u.cfunc.c_function;\n    TELL("lbu", func.generic);\n    switch(cproto) {\n',
  },
  {
    why: 'the same',
    from: '    default:\n        abort();\n    }\n\n    rt->current_stack_frame = sf->prev_frame;\n    return ret_val;\n',
    to: '    default:\n        abort();\n    }\n    TELL("lb", sf);\n\n    rt->current_stack_frame = sf->prev_frame;\n    return ret_val;\n',
  },
  {
    why: 'the same',
    from: '            rt->current_stack_frame = sf;\n            if (s->throw_flag)\n                goto exception;\n',
    to: '            rt->current_stack_frame = sf;\n            TELL_BEGIN(ctx, b);\n            if (s->throw_flag)\n                goto exception;\n',
  },
  {
    why: 'the same',
    from: '    ctx = b->realm; /* set the current realm */\n\n restart:\n',
    to: '    ctx = b->realm; /* set the current realm */\n    TELL_BEGIN(ctx, b);\n\n restart:\n',
  },
  {
    why: 'the same: of functions that the interpreter calls by itself, and of all ends',
    from: '#define BEGUN(ctx, b)\n#define ENDED(sf)\n',
    to: '#define BEGUN(ctx, b) TELL_BEGIN(ctx, b)\n#define ENDED(sf) TELL("lb", sf)\n',
  },
]
