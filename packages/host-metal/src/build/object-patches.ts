import type { Patch } from './patches.ts'

/** Objects that begin: what they are made of is put where it belongs at once. */
export const objectPatches: readonly Patch[] = [
  {
    why: '`this` goes to its variable without the stack: it begins nearly every method',
    from: `                    val = JS_DupValue(ctx, GIVEN_THIS);
                }
                *sp++ = val;
`,
    to: `                    val = JS_DupValue(ctx, GIVEN_THIS);
                }
                if (likely(*pc == OP_put_loc0 && !JS_VALUE_HAS_REF_COUNT(var_buf[0]))) {
                    pc++;
                    var_buf[0] = val;
                    BREAK;
                }
                *sp++ = val;
`,
  },
  {
    why: 'a property that a literal begins with is added without asking what it was',
    from: `                ret = JS_DefinePropertyValue(ctx, sp[-2], atom, sp[-1],
                                             JS_PROP_C_W_E | JS_PROP_THROW);
                sp--;
                if (unlikely(ret < 0))
                    goto exception;
            }
            BREAK;

        CASE(OP_set_name):
`,
    to: `                if (likely(JS_VALUE_GET_TAG(sp[-2]) == JS_TAG_OBJECT)) {
                    JSObject *p = JS_VALUE_GET_OBJ(sp[-2]);
                    JSProperty *property;
                    if (likely(!p->is_exotic && p->extensible && !find_own_property(&property, p, atom))) {
                        property = add_property(ctx, p, atom, JS_PROP_C_W_E);
                        if (unlikely(!property))
                            goto exception;
                        property->u.value = *--sp;
                        BREAK;
                    }
                }
                ret = JS_DefinePropertyValue(ctx, sp[-2], atom, sp[-1],
                                             JS_PROP_C_W_E | JS_PROP_THROW);
                sp--;
                if (unlikely(ret < 0))
                    goto exception;
            }
            BREAK;

        CASE(OP_set_name):
`,
  },
]
