/** The negative logarithm of one class's probability in each row, without storing probabilities. */
import { makeTensor, makeTensors, type Tensor } from "./graph.ts";

/**
 * `-log softmax(x)[i, index[i]]`; its gradient computes the probabilities again.
 *
 * @param x `[N, C]` f32 @param index `[N]` i32, between 0 and C - 1 @returns `[N]`
 */
export function classLoss(x: Tensor, index: Tensor): Tensor {
  const rows = [x.shape[0]];
  const parts = makeTensors("softmax_stats", [x], { axes: [1] }, [[rows, "f32"], [rows, "f32"]]);
  return makeTensor("class_loss", [x, index, ...parts], {}, rows, "f32");
}
