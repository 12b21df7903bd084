import type { Patch } from './patches.ts'

/**
 * Functions of the program that call each other stay in one call of the interpreter: what the caller needs back lies in a frame of a stack of their own. Only where that is full, C's is taken.
 * Constructors, and what functions of C call begin another call of the interpreter, as do generators and asynchronous functions, whose frames may live on: of them only the first frame of each can be one.
 */
export const callPatches: readonly Patch[] = [
  {
    why: 'functions call each other without C: the stack of their frames',
    from: '    struct JSStackFrame *current_stack_frame;\n\n    JSInterruptHandler',
    to: '    struct JSStackFrame *current_stack_frame;\n    uint8_t *frames, *frames_top, *frames_end;\n\n    JSInterruptHandler',
  },
  {
    why: 'the same',
    from: '    init_list_head(&rt->job_list);\n\n    if (JS_InitAtoms(rt))\n        goto fail;\n',
    to: `    init_list_head(&rt->job_list);

    if (JS_InitAtoms(rt))
        goto fail;
    rt->frames = js_malloc_rt(rt, FRAMES_SIZE);
    if (!rt->frames)
        goto fail;
    rt->frames_top = rt->frames;
    rt->frames_end = rt->frames + FRAMES_SIZE;
`,
  },
  {
    why: 'the same',
    from: 'JSRuntime *JS_NewRuntime2(const JSMallocFunctions *mf, void *opaque)\n',
    to: '/* Bytes for frames. */\n#define FRAMES_SIZE (64 * 1024)\nJSRuntime *JS_NewRuntime2(const JSMallocFunctions *mf, void *opaque)\n',
  },
  {
    why: 'the same',
    from: '    js_free_rt(rt, rt->atom_array);\n',
    to: '    js_free_rt(rt, rt->atom_array);\n    js_free_rt(rt, rt->frames);\n',
  },
  {
    why: 'the same: a frame, and what a call was given, which is C\'s for the first',
    from: `/* argv[] is modified if (flags & JS_CALL_FLAG_COPY_ARGV) = 0. */
static JSValue JS_CallInternal(JSContext *caller_ctx, JSValueConst func_obj,
                               JSValueConst this_obj, JSValueConst new_target,
                               int argc, JSValue *argv, int flags)
{
    JSRuntime *rt = caller_ctx->rt;
`,
    to: `/* The frame of a function that the interpreter called by itself; behind it are its arguments, unless they are the caller's, its variables and its stack. */
typedef struct InnerFrame {
    JSStackFrame frame;
    JSValueConst this_obj;
    /* The caller's stack with what was pushed for the call; how many arguments, and how much besides; with TAIL_CALL where what it gives is what the caller gives. */
    JSValue *sp;
    int argc, pushed;
} InnerFrame;
#define TAIL_CALL 0x100

/* argv[] is modified if (flags & JS_CALL_FLAG_COPY_ARGV) = 0. */
static JSValue JS_CallInternal(JSContext *caller_ctx, JSValueConst func_obj,
                               JSValueConst this_obj, JSValueConst new_target,
                               int argc, JSValue *argv, int flags)
{
    JSRuntime *rt = caller_ctx->rt;
    JSStackFrame *first_frame;
/* What the function that runs was given: by whom the interpreter was called, or in its frame. */
#define INNER ((InnerFrame *)sf)
#define IS_FIRST likely(sf != first_frame) ? FALSE : TRUE
#define GIVEN_THIS ((IS_FIRST) ? this_obj : INNER->this_obj)
#define GIVEN_TARGET ((IS_FIRST) ? new_target : JS_UNDEFINED)
#define GIVEN_ARGC ((IS_FIRST) ? argc : INNER->argc)
#define GIVEN_ARGV ((IS_FIRST) ? argv : INNER->sp - INNER->argc)
    /* Of a call: how many arguments, and what else was pushed for it; as in its frame. */
    int call_argc, call_pushed;
    JSValue *call_argv;
    JSValueConst call_this;
`,
  },
  {
    why: 'the same',
    from: '            local_buf = arg_buf = sf->arg_buf;\n',
    to: '            first_frame = sf;\n            local_buf = arg_buf = sf->arg_buf;\n',
  },
  {
    why: 'the same',
    from: '    local_buf = alloca(alloca_size);\n    if (unlikely(arg_allocated_size)) {\n        int n = min_int(argc, b->arg_count);\n',
    to: '    local_buf = alloca(alloca_size);\n    first_frame = sf;\n    if (unlikely(arg_allocated_size)) {\n        int n = min_int(argc, b->arg_count);\n',
  },
  {
    why: 'the same: what a call was given is looked up where it lies',
    from: `                    uint32_t tag = JS_VALUE_GET_TAG(this_obj);
`,
    to: `                    JSValueConst this_obj = GIVEN_THIS;
                    uint32_t tag = JS_VALUE_GET_TAG(this_obj);
`,
  },
  { why: 'the same', from: '                    val = JS_DupValue(ctx, this_obj);\n                }\n                *sp++ = val;\n', to: '                    val = JS_DupValue(ctx, GIVEN_THIS);\n                }\n                *sp++ = val;\n' },
  { why: 'the same', from: '*sp++ = js_build_arguments(ctx, argc, (JSValueConst *)argv);', to: '*sp++ = js_build_arguments(ctx, GIVEN_ARGC, (JSValueConst *)GIVEN_ARGV);' },
  {
    why: 'the same',
    from: `                    *sp++ = js_build_mapped_arguments(ctx, argc, (JSValueConst *)argv,
                                                      sf, min_int(argc, b->arg_count));
`,
    to: `                    *sp++ = js_build_mapped_arguments(ctx, GIVEN_ARGC, (JSValueConst *)GIVEN_ARGV,
                                                      sf, min_int(GIVEN_ARGC, b->arg_count));
`,
  },
  { why: 'the same', from: '                    *sp++ = JS_DupValue(ctx, new_target);\n', to: '                    *sp++ = JS_DupValue(ctx, GIVEN_TARGET);\n' },
  { why: 'the same', from: '*sp++ = js_build_rest(ctx, first, argc, (JSValueConst *)argv);', to: '*sp++ = js_build_rest(ctx, first, GIVEN_ARGC, (JSValueConst *)GIVEN_ARGV);' },
  { why: 'the same', from: '            if (JS_IsUndefined(new_target)) {\n            non_ctor_call:\n', to: '            if (JS_IsUndefined(GIVEN_TARGET)) {\n            non_ctor_call:\n' },
  {
    why: 'the same',
    from: `                if (JS_IsUndefined(new_target))
                    goto non_ctor_call;
                super = JS_GetPrototype(ctx, func_obj);
                if (JS_IsException(super))
                    goto exception;
                ret = JS_CallConstructor2(ctx, super, new_target, argc, (JSValueConst *)argv);
`,
    to: `                if (JS_IsUndefined(GIVEN_TARGET))
                    goto non_ctor_call;
                super = JS_GetPrototype(ctx, sf->cur_func);
                if (JS_IsException(super))
                    goto exception;
                ret = JS_CallConstructor2(ctx, super, GIVEN_TARGET, GIVEN_ARGC, (JSValueConst *)GIVEN_ARGV);
`,
  },
  {
    why: 'the same: calls',
    from: `            has_call_argc:
                call_argv = sp - call_argc;
                sf->cur_pc = pc;
                ret_val = JS_CallInternal(ctx, call_argv[-1], JS_UNDEFINED,
                                          JS_UNDEFINED, call_argc, call_argv, 0);
                if (unlikely(JS_IsException(ret_val)))
                    goto exception;
                if (opcode == OP_tail_call)
                    goto done;
                for(i = -1; i < call_argc; i++)
                    JS_FreeValue(ctx, call_argv[i]);
                sp -= call_argc + 1;
                *sp++ = ret_val;
            }
            BREAK;
`,
    to: `            has_call_argc:
                call_argv = sp - call_argc;
                sf->cur_pc = pc;
                call_pushed = opcode == OP_tail_call ? 1 | TAIL_CALL : 1;
                call_this = JS_UNDEFINED;
            }
            goto call;
        call_getter: /* this getter -> value */
            call_argc = 0;
            call_argv = sp;
            call_pushed = 2;
            call_this = sp[-2];
        call:
            {
                JSValueConst callee = call_argv[-1];
                JSObject *called;
                if (likely(JS_VALUE_GET_TAG(callee) == JS_TAG_OBJECT && (called = JS_VALUE_GET_OBJ(callee))->class_id == JS_CLASS_BYTECODE_FUNCTION)) {
                    JSFunctionBytecode *inner = called->u.func.function_bytecode;
                    int copied = unlikely(call_argc < inner->arg_count) ? inner->arg_count : 0, variables = inner->var_count;
                    InnerFrame *frame = (InnerFrame *)rt->frames_top;
                    uint8_t *end = rt->frames_top + sizeof(InnerFrame) + sizeof(JSValue) * inner->room;
                    if (likely(end <= rt->frames_end)) {
                        rt->frames_top = end;
                        frame->this_obj = call_this;
                        frame->sp = sp;
                        frame->argc = call_argc;
                        frame->pushed = call_pushed;
                        frame->frame.prev_frame = sf;
                        frame->frame.cur_func = (JSValue)callee;
                        frame->frame.js_mode = inner->js_mode;
                        init_list_head(&frame->frame.var_ref_list);
                        sp = (JSValue *)(frame + 1);
                        arg_buf = call_argv;
                        if (unlikely(copied)) {
                            arg_buf = sp;
                            for (i = 0; i < call_argc; i++)
                                *sp++ = JS_DupValue(ctx, call_argv[i]);
                            for (; i < copied; i++)
                                *sp++ = JS_UNDEFINED;
                            call_argc = copied;
                        }
                        var_buf = sp;
                        frame->frame.arg_count = call_argc;
                        frame->frame.arg_buf = arg_buf;
                        frame->frame.var_buf = var_buf;
                        for (; variables > 0; variables--)
                            *sp++ = JS_UNDEFINED;
                        sf = &frame->frame;
                        rt->current_stack_frame = sf;
                        b = inner;
                        var_refs = called->u.func.var_refs;
                        pc = inner->byte_code_buf;
                        BEGUN(ctx, b);
                        BREAK;
                    }
                }
                if (likely(JS_VALUE_GET_TAG(callee) == JS_TAG_OBJECT && JS_VALUE_GET_OBJ(callee)->class_id == JS_CLASS_C_FUNCTION))
                    ret_val = js_call_c_function(ctx, callee, call_this, call_argc, call_argv, 0);
                else
                    ret_val = JS_CallInternal(ctx, callee, call_this, JS_UNDEFINED, call_argc, call_argv, 0);
            called:
                if (unlikely(JS_IsException(ret_val)))
                    goto exception;
                if (unlikely(call_pushed & TAIL_CALL))
                    goto done;
                call_argv = sp;
                sp -= call_argc + call_pushed;
                do {
                    call_argv--;
                    JS_FreeValue(ctx, *call_argv);
                } while (call_argv != sp);
                *sp++ = ret_val;
            }
            BREAK;
`,
  },
  {
    why: 'the same',
    from: `                sf->cur_pc = pc;
                ret_val = JS_CallInternal(ctx, call_argv[-1], call_argv[-2],
                                          JS_UNDEFINED, call_argc, call_argv, 0);
                if (unlikely(JS_IsException(ret_val)))
                    goto exception;
                if (opcode == OP_tail_call_method)
                    goto done;
                for(i = -2; i < call_argc; i++)
                    JS_FreeValue(ctx, call_argv[i]);
                sp -= call_argc + 2;
                *sp++ = ret_val;
            }
            BREAK;
`,
    to: `                sf->cur_pc = pc;
                call_pushed = opcode == OP_tail_call_method ? 2 | TAIL_CALL : 2;
                call_this = call_argv[-2];
                goto call;
            }
`,
  },
  {
    why: 'the same',
    from: `        int call_argc;
        JSValue *call_argv;

        SWITCH(pc) {
`,
    to: `        SWITCH(pc) {
`,
  },
  {
    why: 'the same: what a frame needs is counted once, arguments included',
    from: '    uint16_t stack_size; /* maximum stack size */\n    JSContext *realm; /* function realm */\n',
    to: '    uint16_t stack_size; /* maximum stack size */\n    uint32_t room; /* values behind a frame */\n    JSContext *realm; /* function realm, of which there is one */\n',
  },
  {
    why: 'the same: for a getter and what it is called on there is room besides what the compiler counts',
    from: '    b->stack_size = stack_size;\n',
    to: '    b->stack_size = stack_size + 2;\n    b->room = b->arg_count + b->var_count + b->stack_size;\n',
  },
  {
    why: 'the same',
    from: '    if (bc_get_leb128_u16(s, &bc.stack_size))\n        goto fail;\n',
    to: '    if (bc_get_leb128_u16(s, &bc.stack_size))\n        goto fail;\n    bc.room = bc.arg_count + bc.var_count + bc.stack_size;\n',
  },
  {
    why: 'the same: for who watches functions begin and end',
    from: '#if !DIRECT_DISPATCH\n#define SWITCH(pc)      switch (opcode = *pc++)\n',
    to: '#define BEGUN(ctx, b)\n#define ENDED(sf)\n#if !DIRECT_DISPATCH\n#define SWITCH(pc)      switch (opcode = *pc++)\n',
  },
  {
    why: 'the same: returns',
    from: `        for(pval = local_buf; pval < sp; pval++) {
            JS_FreeValue(ctx, *pval);
        }
    }
    rt->current_stack_frame = sf->prev_frame;
    return ret_val;
`,
    to: `        for(pval = sf == first_frame ? local_buf : (JSValue *)(INNER + 1); pval < sp; pval++) {
            JS_FreeValue(ctx, *pval);
        }
    }
    ENDED(sf);
    rt->current_stack_frame = sf->prev_frame;
    if (sf == first_frame)
        return ret_val;
    {
        InnerFrame *frame = INNER;
        sf = sf->prev_frame;
        rt->frames_top = (uint8_t *)frame;
        sp = frame->sp;
        call_argc = frame->argc;
        call_pushed = frame->pushed;
        JSObject *caller = JS_VALUE_GET_OBJ(sf->cur_func);
        b = caller->u.func.function_bytecode;
        var_refs = caller->u.func.var_refs;
        arg_buf = sf->arg_buf;
        var_buf = sf->var_buf;
        pc = sf->cur_pc;
        goto called;
    }
`,
  },
  { why: 'the same: where a function\'s stack begins, and its object, are looked up by those few who ask', from: '    JSValue *local_buf, *stack_buf, *var_buf, *arg_buf, *sp, ret_val, *pval;\n', to: '    JSValue *local_buf, *var_buf, *arg_buf, *sp, ret_val, *pval;\n#define STACK_BUF (var_buf + b->var_count)\n' },
  { why: 'the same', from: '            stack_buf = sf->var_buf + b->var_count;\n', to: '' },
  { why: 'the same', from: '    stack_buf = var_buf + b->var_count;\n    sp = stack_buf;\n', to: '    sp = STACK_BUF;\n' },
  { why: 'the same', from: '                while (sp > stack_buf &&\n', to: '                while (sp > STACK_BUF &&\n' },
  { why: 'the same', from: '                if (unlikely(sp == stack_buf)) {\n', to: '                if (unlikely(sp == STACK_BUF)) {\n' },
  { why: 'the same', from: '        while (sp > stack_buf) {\n', to: '        while (sp > STACK_BUF) {\n' },
  { why: 'the same', from: '                        p1 = p->u.func.home_object;\n', to: '                        p1 = JS_VALUE_GET_OBJ(sf->cur_func)->u.func.home_object;\n' },
]
