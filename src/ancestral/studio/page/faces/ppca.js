// Probabilistic PCA: z ~ N(0, I_d), x | z ~ N(W z + mu, sigma^2 I_m).
//
// With U the leading eigenvectors of the covariance and lambda its eigenvalues, for any d up to
// the number of directions held:
//   sigma^2 = mean of the m - d variances left over,  W = U_d (Lambda_d - sigma^2 I)^(1/2),
//   z | x ~ N(W^T (x - mu) / lambda, sigma^2 / lambda)   since W^T W + sigma^2 I = Lambda_d.
// Given some pixels K only, the same with W_K:
//   z | x_K ~ N(M^-1 W_K^T (x - mu)_K, sigma^2 M^-1),  M = W_K^T W_K + sigma^2 I.
// A model of standardised columns says all this of x / s, with s its `scale`; images go in and come
// out in their own units.

import { cholesky, dot, row, solveLower, solveUpper } from "../arrays.js";

export class Ppca {
  /** @param directions U^T as rows; `eigenvalues` and `noise` are those of the largest d. */
  constructor({ mean, scale, directions, eigenvalues, noise, d }) {
    const m = mean.length;
    Object.assign(this, { m, mean, scale, directions, eigenvalues, d });
    let rest = (m - eigenvalues.length) * noise;
    for (let k = d; k < eigenvalues.length; k++) rest += eigenvalues[k];
    this.noise = rest / (m - d);
    this.scales = Float64Array.from({ length: d }, (_, k) =>
      Math.sqrt(Math.max(eigenvalues[k] - this.noise, 0)),
    );
  }

  get parameters() {
    return this.m * (this.scale ? 2 : 1) + this.m * this.d - (this.d * (this.d - 1)) / 2 + 1;
  }

  /** One column of W: what a unit of latent k adds to the image. */
  loading(k) {
    return row(this.directions, k).map((u, i) => u * this.scales[k] * (this.scale?.[i] ?? 1));
  }

  /** E[x | z] = W z + mu. */
  decode(z) {
    const x = new Float64Array(this.m);
    for (let k = 0; k < this.d; k++) {
      const amount = z[k] * this.scales[k];
      const u = row(this.directions, k);
      for (let i = 0; i < x.length; i++) x[i] += amount * u[i];
    }
    for (let i = 0; i < x.length; i++) x[i] = this.mean[i] + x[i] * (this.scale?.[i] ?? 1);
    return x;
  }

  /** x - mu, in the model's units. */
  centred(x) {
    return x.map((value, i) => (value - this.mean[i]) / (this.scale?.[i] ?? 1));
  }

  /** log of the units' product, over the pixels where `known` is truthy: what they take off log p. */
  logScale(known = null) {
    return this.scale
      ? this.scale.reduce((sum, s, i) => (known && !known[i] ? sum : sum + Math.log(s)), 0)
      : 0;
  }

  /** The posterior of z given a whole image: mean and standard deviation of each latent. */
  posterior(x) {
    const centred = this.centred(x);
    const z = new Float64Array(this.d);
    const sd = new Float64Array(this.d);
    for (let k = 0; k < this.d; k++) {
      z[k] = (this.scales[k] * dot(row(this.directions, k), centred)) / this.eigenvalues[k];
      sd[k] = Math.sqrt(this.noise / this.eigenvalues[k]);
    }
    return { z, sd };
  }

  /** log p(x) in nats. */
  logDensity(x) {
    const centred = this.centred(x);
    let square = dot(centred, centred) / this.noise;
    let logDeterminant = (this.m - this.d) * Math.log(this.noise);
    for (let k = 0; k < this.d; k++) {
      const along = dot(row(this.directions, k), centred);
      square -= along * along * (1 / this.noise - 1 / this.eigenvalues[k]);
      logDeterminant += Math.log(this.eigenvalues[k]);
    }
    return -0.5 * (this.m * Math.log(2 * Math.PI) + logDeterminant + square) - this.logScale();
  }

  /** The exact conditional of everything given the pixels where `known[i]` is truthy. */
  given(x, known) {
    return new Conditional(this, x, known);
  }
}

class Conditional {
  constructor(model, x, known) {
    this.model = model;
    this.x = x;
    this.known = known;
    const { d, m, noise, scales, directions } = model;
    const right = new Float64Array(d);
    const w = new Float64Array(d);
    const load = (i) => {
      for (let k = 0; k < d; k++) w[k] = directions.data[k * m + i] * scales[k];
    };
    const centred = model.centred(x);
    let square = 0;
    let count = 0;
    for (let i = 0; i < m; i++) {
      if (!known[i]) continue;
      load(i);
      for (let k = 0; k < d; k++) right[k] += w[k] * centred[i];
      square += centred[i] * centred[i];
      count++;
    }
    // Over all pixels W^T W is diagonal: the few hidden ones are taken off it, or the few known
    // ones summed, whichever is less work.
    const few = 2 * count < m;
    const M = new Float64Array(d * d);
    if (!few) for (let k = 0; k < d; k++) M[k * d + k] = scales[k] * scales[k];
    for (let i = 0; i < m; i++) {
      if (Boolean(known[i]) !== few) continue;
      load(i);
      for (let k = 0; k < d; k++) {
        const share = few ? w[k] : -w[k];
        for (let l = 0; l <= k; l++) M[k * d + l] += share * w[l];
      }
    }
    for (let k = 0; k < d; k++) M[k * d + k] += noise;
    this.L = cholesky(M, d);
    const half = solveLower(this.L, d, right);
    this.z = solveUpper(this.L, d, half);
    this.count = count;
    // log p(x_K): Woodbury and the determinant lemma, |C_K| = sigma^(2 (|K| - d)) |M|
    let logDeterminant = (count - d) * Math.log(noise);
    for (let k = 0; k < d; k++) logDeterminant += 2 * Math.log(this.L[k * d + k]);
    square = (square - dot(half, half)) / noise;
    this.logDensity =
      -0.5 * (count * Math.log(2 * Math.PI) + logDeterminant + square) - model.logScale(known);
  }

  /** Posterior standard deviation of each latent. */
  get sd() {
    const { d, noise } = this.model;
    this.kept ??= Float64Array.from({ length: d }, (_, k) => {
      const unit = new Float64Array(d);
      unit[k] = 1;
      const column = solveLower(this.L, d, unit);
      return Math.sqrt(noise * dot(column, column));
    });
    return this.kept;
  }

  /** The known pixels as they are, the others at their conditional mean. */
  get mean() {
    const filled = this.model.decode(this.z);
    return filled.map((value, i) => (this.known[i] ? this.x[i] : value));
  }

  /** Standard deviation of each pixel: 0 where known; elsewhere, if `noisy`, with sigma's share. */
  pixelSd({ noisy = true } = {}) {
    const { d, m, noise, scale, scales, directions } = this.model;
    const w = new Float64Array(d);
    return Float64Array.from({ length: m }, (_, i) => {
      if (this.known[i]) return 0;
      for (let k = 0; k < d; k++) w[k] = directions.data[k * m + i] * scales[k];
      const column = solveLower(this.L, d, w);
      return Math.sqrt(noise * (Number(noisy) + dot(column, column))) * (scale?.[i] ?? 1);
    });
  }

  /** Draw the unknown pixels given the known; without `noisy`, the image behind the noise. */
  draw(random, { noisy = false } = {}) {
    const { d, noise, scale } = this.model;
    // L^-T e has covariance M^-1
    const shift = solveUpper(this.L, d, random.normals(d));
    const z = this.z.map((value, k) => value + Math.sqrt(noise) * shift[k]);
    const x = this.model.decode(z);
    const spread = noisy ? Math.sqrt(noise) : 0;
    return x.map((value, i) =>
      this.known[i] ? this.x[i] : value + spread * random.normal() * (scale?.[i] ?? 1),
    );
  }
}
