// A lit scene and a particle step, of the size and shape that renderers have. Functions made from a seed follow.

struct Camera { view: mat4x4<f32>, projection: mat4x4<f32>, eye: vec3<f32>, near: f32 }
struct Light { position: vec3<f32>, radius: f32, color: vec3<f32>, kind: u32 }
struct Scene { ambient: vec3<f32>, count: u32, lights: array<Light, 16> }
struct Material { albedo: vec4<f32>, roughness: f32, metallic: f32, flags: u32, layer: i32 }
struct Particle { position: vec4<f32>, velocity: vec4<f32> }
struct VertexIn { @location(0) position: vec3<f32>, @location(1) normal: vec3<f32>, @location(2) uv: vec2<f32> }
struct VertexOut {
    @builtin(position) clip: vec4<f32>,
    @location(0) world: vec3<f32>,
    @location(1) normal: vec3<f32>,
    @location(2) uv: vec2<f32>,
}

@group(0) @binding(0) var<uniform> camera: Camera;
@group(0) @binding(1) var<uniform> scene: Scene;
@group(0) @binding(2) var<uniform> material: Material;
@group(1) @binding(0) var albedo_map: texture_2d<f32>;
@group(1) @binding(1) var normal_map: texture_2d<f32>;
@group(1) @binding(2) var linear_sampler: sampler;
@group(2) @binding(0) var<storage, read> particles_in: array<Particle>;
@group(2) @binding(1) var<storage, read_write> particles_out: array<Particle>;

const PI: f32 = 3.14159265;
const STEPS: u32 = 8u;

var<workgroup> tile: array<vec4<f32>, 64>;

fn distribution(n_dot_h: f32, roughness: f32) -> f32 {
    let a = roughness * roughness;
    let a2 = a * a;
    let d = n_dot_h * n_dot_h * (a2 - 1.0) + 1.0;
    return a2 / max(PI * d * d, 0.0001);
}

fn geometry(n_dot_v: f32, n_dot_l: f32, roughness: f32) -> f32 {
    let r = roughness + 1.0;
    let k = r * r / 8.0;
    let v = n_dot_v / (n_dot_v * (1.0 - k) + k);
    let l = n_dot_l / (n_dot_l * (1.0 - k) + k);
    return v * l;
}

fn fresnel(cos_theta: f32, f0: vec3<f32>) -> vec3<f32> {
    return f0 + (vec3<f32>(1.0) - f0) * pow(clamp(1.0 - cos_theta, 0.0, 1.0), 5.0);
}

fn attenuation(light: Light, distance: f32) -> f32 {
    switch light.kind {
        case 0u: { return 1.0; }
        case 1u, 2u: {
            let x = clamp(1.0 - distance / light.radius, 0.0, 1.0);
            return x * x;
        }
        default: { return 1.0 / max(distance * distance, 0.01); }
    }
}

fn hash(seed: u32) -> u32 {
    var state = seed * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

fn noise(at: vec3<f32>) -> f32 {
    var total = 0.0;
    var scale = 1.0;
    var p = at;
    for (var i = 0u; i < STEPS; i = i + 1u) {
        let cell = vec3<i32>(floor(p));
        let h = hash(u32(cell.x) + 57u * u32(cell.y) + 113u * u32(cell.z) + i);
        total += scale * f32(h & 0xffffu) / 65535.0;
        scale *= 0.5;
        p = p * 2.0 + vec3<f32>(0.3, 0.7, 0.1);
        if scale < 0.01 { break; }
    }
    return total;
}

@vertex
fn vertex_main(in: VertexIn) -> VertexOut {
    var out: VertexOut;
    let world = vec4<f32>(in.position + in.normal * noise(in.position) * 0.01, 1.0);
    out.clip = camera.projection * camera.view * world;
    out.world = world.xyz;
    out.normal = normalize(in.normal);
    out.uv = in.uv;
    return out;
}

@fragment
fn fragment_main(in: VertexOut) -> @location(0) vec4<f32> {
    let texel = textureSample(albedo_map, linear_sampler, in.uv) * material.albedo;
    let bump = textureSample(normal_map, linear_sampler, in.uv).xyz * 2.0 - vec3<f32>(1.0);
    let n = normalize(in.normal + bump * 0.5);
    let v = normalize(camera.eye - in.world);
    let f0 = mix(vec3<f32>(0.04), texel.rgb, material.metallic);
    var color = scene.ambient * texel.rgb;
    var i = 0u;
    loop {
        if i >= min(scene.count, 16u) { break; }
        let light = scene.lights[i];
        let to_light = light.position - in.world;
        let l = normalize(to_light);
        let h = normalize(v + l);
        let n_dot_l = max(dot(n, l), 0.0);
        if n_dot_l > 0.0 {
            let n_dot_v = max(dot(n, v), 0.001);
            let d = distribution(max(dot(n, h), 0.0), material.roughness);
            let g = geometry(n_dot_v, n_dot_l, material.roughness);
            let f = fresnel(max(dot(h, v), 0.0), f0);
            let specular = f * d * g / (4.0 * n_dot_v * n_dot_l + 0.001);
            let diffuse = (vec3<f32>(1.0) - f) * (1.0 - material.metallic) * texel.rgb / PI;
            color += (diffuse + specular) * light.color * n_dot_l * attenuation(light, length(to_light));
        }
        continuing { i = i + 1u; }
    }
    let mapped = color / (color + vec3<f32>(1.0));
    return vec4<f32>(generated(pow(mapped, vec3<f32>(1.0 / 2.2))), texel.a);
}

@compute @workgroup_size(64)
fn compute_main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let total = arrayLength(&particles_in);
    let index = id.x;
    if index >= total { return; }
    var p = particles_in[index];
    var force = vec3<f32>(0.0, -9.81, 0.0);
    for (var base = 0u; base < total; base += 64u) {
        tile[local.x] = particles_in[min(base + local.x, total - 1u)].position;
        workgroupBarrier();
        for (var j = 0u; j < 64u; j++) {
            let away = p.position.xyz - tile[j].xyz;
            let d2 = dot(away, away) + 0.01;
            force += away * tile[j].w / (d2 * sqrt(d2));
        }
        workgroupBarrier();
    }
    p.velocity = vec4<f32>(p.velocity.xyz * 0.99 + force * 0.016, p.velocity.w);
    p.position = vec4<f32>(p.position.xyz + p.velocity.xyz * 0.016, p.position.w);
    particles_out[index] = p;
}
