import type { Patch } from './patches.ts'

/**
 * Shapes, which say what properties objects have, are kept for a while when the last object has gone that had them: the next of its kind finds them again, where it would otherwise make each anew, property by property.
 * At most 256 are kept, none of more than 64 properties (what programs use as dictionaries), and none over a collection of garbage, since a shape keeps its prototype.
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
    if (sh->is_hashed && sh->prop_count <= 64 && rt->gc_phase != JS_GC_PHASE_REMOVE_CYCLES && !rt->resting_over) {
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
    from: `static void JS_RunGCInternal(JSRuntime *rt, BOOL remove_weak_objects)
{
`,
    to: `static void free_resting_shapes(JSRuntime *rt)
{
    BOOL over = rt->resting_over;
    rt->resting_over = TRUE;
    for (int i = 0; i < RESTING_SHAPES; i++) {
        JSShape *sh = rt->resting_shapes[i];
        rt->resting_shapes[i] = NULL;
        js_free_shape_null(rt, sh);
    }
    rt->resting_over = over;
}

static void JS_RunGCInternal(JSRuntime *rt, BOOL remove_weak_objects)
{
    free_resting_shapes(rt);
`,
  },
  {
    why: 'the same',
    from: `    /* don't remove the weak objects to avoid create new jobs with
       FinalizationRegistry */
    JS_RunGCInternal(rt, FALSE);
`,
    to: `    rt->resting_over = TRUE;
    /* don't remove the weak objects to avoid create new jobs with
       FinalizationRegistry */
    JS_RunGCInternal(rt, FALSE);
`,
  },
]
