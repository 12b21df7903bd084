import type { Patch } from './patches.ts'

/**
 * Shapes, which say what properties objects have, are kept for a while when the last object has gone that had them: the next of its kind finds them again, where it would otherwise make each anew, property by property.
 * Those of the last 256 are kept, whoever they are of, so what programs use as dictionaries costs no more.
 */
export const shapePatches: readonly Patch[] = [
  {
    why: 'shapes rest before they go',
    from: '    struct JSStackFrame *current_stack_frame;\n',
    to: '    struct JSStackFrame *current_stack_frame;\n    JSShape *resting_shapes[RESTING_SHAPES];\n    unsigned resting_next;\n    BOOL resting_over;\n',
  },
  {
    why: 'the same',
    from: 'struct JSRuntime {\n',
    to: '#define RESTING_SHAPES 256\nstruct JSRuntime {\n',
  },
  {
    why: 'the same: not those of objects that are freed as garbage, since what they refer to may be, too',
    from: { function: 'static void js_free_shape(JSRuntime *rt, JSShape *sh)\n{' },
    to: `static void js_free_shape(JSRuntime *rt, JSShape *sh)
{
    if (likely(--sh->header.ref_count > 0))
        return;
    if (sh->is_hashed && rt->gc_phase != JS_GC_PHASE_REMOVE_CYCLES && !rt->resting_over) {
        JSShape **place = &rt->resting_shapes[rt->resting_next++ % RESTING_SHAPES], *before = *place;
        sh->header.ref_count = 1;
        *place = sh;
        if (!before || --before->header.ref_count > 0)
            return;
        sh = before;
    }
    js_free_shape0(rt, sh);
}
`,
  },
  {
    why: 'the same',
    from: `    /* don't remove the weak objects to avoid create new jobs with
       FinalizationRegistry */
    JS_RunGCInternal(rt, FALSE);
`,
    to: `    rt->resting_over = TRUE;
    for (i = 0; i < RESTING_SHAPES; i++)
        js_free_shape_null(rt, rt->resting_shapes[i]);
    /* don't remove the weak objects to avoid create new jobs with
       FinalizationRegistry */
    JS_RunGCInternal(rt, FALSE);
`,
  },
]
