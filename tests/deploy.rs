//! The files that `startle print` gives: sound in themselves, and every command in them is one that the program takes.

mod support;

use serde::Deserialize;
use serde_norway::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::cli::{ffmpeg, startle};

fn printed(file: &str) -> String {
    let out = startle().args(["print", file]).assert().success();
    String::from_utf8(out.get_output().stdout.clone()).unwrap()
}

/// The objects of the Kubernetes file, by kind.
fn objects() -> BTreeMap<String, Value> {
    let text = printed("kubernetes");
    let documents = serde_norway::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap());
    let documents: Vec<Value> = documents.filter(|one| !one.is_null()).collect();
    let count = documents.len();
    let all: BTreeMap<_, _> = documents.into_iter().map(|one| (text_of(&one["kind"]), one)).collect();
    assert_eq!(all.len(), count, "two objects of one kind");
    all
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value:?}")).to_owned()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_sequence().cloned().unwrap_or_default()
}

fn words(value: &Value) -> Vec<String> {
    list(value).iter().map(text_of).collect()
}

fn container(object: &Value) -> Value {
    object["spec"]["template"]["spec"]["containers"][0].clone()
}

#[test]
fn pods_have_no_more_rights_than_they_need_and_what_they_name_is_there() {
    let all = objects();
    assert_eq!(
        all.keys().map(String::as_str).collect::<Vec<_>>(),
        ["ConfigMap", "Deployment", "Job", "Secret", "Service"]
    );
    for kind in ["Job", "Deployment"] {
        let pod = &all[kind]["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{kind}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{kind}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{kind}");
        let one = container(&all[kind]);
        let rights = &one["securityContext"];
        assert_eq!(
            (&rights["readOnlyRootFilesystem"], &rights["allowPrivilegeEscalation"]),
            (&true.into(), &false.into())
        );
        assert_eq!(words(&rights["capabilities"]["drop"]), ["ALL"]);
        assert!(one["resources"]["requests"]["cpu"].is_string() && one["resources"]["limits"]["memory"].is_string());
        assert!(!text_of(&one["image"]).ends_with(":latest") && text_of(&one["image"]).contains(':'));
        let names = |list: Vec<Value>| list.iter().map(|one| text_of(&one["name"])).collect::<BTreeSet<_>>();
        assert_eq!(names(list(&one["volumeMounts"])), names(list(&pod["volumes"])), "{kind}");
        let mounts: BTreeSet<String> = list(&one["volumeMounts"]).iter().map(|m| text_of(&m["mountPath"])).collect();
        for path in words(&one["args"]).iter().filter(|word| word.starts_with('/')) {
            assert!(mounts.iter().any(|mount| path.starts_with(mount)), "{kind}: {path} is mounted nowhere");
        }
    }
    let (deployment, service) = (&all["Deployment"], &all["Service"]);
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], deployment["spec"]["template"]["metadata"]["labels"]);
    assert_eq!(service["spec"]["selector"], deployment["spec"]["template"]["metadata"]["labels"]);
    let one = container(deployment);
    let ports: BTreeSet<String> = list(&one["ports"]).iter().map(|port| text_of(&port["name"])).collect();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert!(ports.contains(&text_of(&one[probe]["httpGet"]["port"])), "{probe}");
    }
    assert!(ports.contains(&text_of(&service["spec"]["ports"][0]["targetPort"])));
    let config = list(&deployment["spec"]["template"]["spec"]["volumes"]);
    assert!(config.iter().any(|volume| volume["configMap"]["name"] == all["ConfigMap"]["metadata"]["name"]));
    assert_eq!(one["envFrom"][0]["secretRef"]["name"], all["Secret"]["metadata"]["name"]);
}

#[test]
fn the_parts_of_the_job_do_all_videos_once_and_leave_one_summary() {
    let all = objects();
    let job = &all["Job"]["spec"];
    let parts = job["completions"].as_u64().unwrap();
    assert_eq!((&job["completionMode"], job["parallelism"].as_u64()), (&"Indexed".into(), Some(parts)));
    let dir = tempfile::tempdir().unwrap();
    let [videos, reports] = ["videos", "reports"].map(|name| dir.path().join(name));
    fs::create_dir(&videos).unwrap();
    for index in 0..10 {
        let scene = format!("testsrc2=size=64x64:rate=10:duration=2,drawbox=x={index}:w=4:h=4:t=fill");
        let video = videos.join(format!("clip{index}.avi"));
        ffmpeg(&["-f", "lavfi", "-i", &scene, "-c:v", "mjpeg", video.to_str().unwrap()]);
    }
    let one = container(&all["Job"]);
    assert_eq!(one["env"][0]["name"], "JOB_COMPLETION_INDEX");
    // In any order; one is lost and comes again.
    for index in (0..parts).rev().chain([3]) {
        let expand = |word: String| {
            word.replace("$(JOB_COMPLETION_INDEX)", &index.to_string())
                .replace("/videos", videos.to_str().unwrap())
                .replace("/reports", reports.to_str().unwrap())
        };
        let args = words(&one["args"]).into_iter().map(expand);
        startle().args(args).args(["--model", "persistence"]).assert().success();
    }
    let table = fs::read_to_string(reports.join("summary.csv")).unwrap();
    assert_eq!(table.lines().filter(|line| line.contains(",done,") || line.contains(",kept,")).count(), 10, "{table}");
}

/// Killed when it is forgotten.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn the_monitor_of_the_deployment_starts_with_its_configuration_and_answers_the_probes() {
    let all = objects();
    let dir = tempfile::tempdir().unwrap();
    let evidence = dir.path().join("evidence");
    let hash = startle().arg("passwd").write_stdin("a long enough word\n").assert().success();
    let hash = String::from_utf8(hash.get_output().stdout.clone()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = text_of(&all["ConfigMap"]["data"]["monitor.toml"])
        .replace("$argon2id$…", hash.trim())
        .replace("/evidence", evidence.to_str().unwrap())
        .replace("0.0.0.0:8470", &format!("127.0.0.1:{port}"));
    let file = dir.path().join("monitor.toml");
    fs::write(&file, config).unwrap();
    let one = container(&all["Deployment"]);
    let local = |word: String| {
        word.replace("/etc/startle/monitor.toml", file.to_str().unwrap())
            .replace("/evidence", evidence.to_str().unwrap())
    };
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("startle"));
    command.args(words(&one["args"]).into_iter().map(local)).args(["--model", "persistence"]);
    let secrets = all["Secret"]["stringData"].as_mapping().unwrap();
    command.envs(secrets.iter().map(|(name, _)| (text_of(name), "rtsp://127.0.0.1:9/none")));
    let mut running = Running(command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap());
    let begun = Instant::now();
    for probe in ["startupProbe", "livenessProbe"] {
        let url = format!("http://127.0.0.1:{port}{}", text_of(&one[probe]["httpGet"]["path"]));
        while ureq::get(&url).call().is_err() {
            assert!(running.0.try_wait().unwrap().is_none(), "the monitor has ended");
            assert!(begun.elapsed() < Duration::from_secs(30), "{url} does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The instructions of a Containerfile: each with its words, lines that go on joined.
fn instructions(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let joined = lines.replace("\\\n", " ");
    let split = |line: &str| line.trim().split_once(' ').map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()));
    joined.lines().filter_map(split).collect()
}

#[test]
fn the_image_is_small_and_not_root_s() {
    let text = printed("containerfile");
    let all = instructions(&text);
    let known = ["ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"];
    let mut stages = BTreeSet::new();
    for (name, rest) in &all {
        assert!(known.contains(&name.as_str()), "{name} is not an instruction, or not a wise one");
        match name.as_str() {
            "FROM" => {
                let (image, stage) =
                    rest.split_once(" AS ").unwrap_or_else(|| panic!("a stage without a name: {rest}"));
                let pinned = image.contains(':') && !image.ends_with(":latest");
                assert!(pinned || stages.contains(image) || image == "${DEVICE}", "{image} is not pinned");
                stages.insert(stage.to_owned());
            }
            "COPY" => match rest.strip_prefix("--from=").and_then(|rest| rest.split_once(' ')) {
                Some((stage, _)) => assert!(stages.contains(stage), "COPY from {stage}, which is no stage before it"),
                None => rest.split(' ').rev().skip(1).for_each(|source| {
                    assert!(
                        Path::new(env!("CARGO_MANIFEST_DIR")).join(source).exists(),
                        "COPY {source}: not in a checkout"
                    );
                }),
            },
            "RUN" if rest.contains("apt-get install") => {
                assert!(
                    rest.contains("--no-install-recommends") && rest.contains("rm -rf /var/lib/apt/lists/*"),
                    "{rest}"
                );
            }
            _ => {}
        }
    }
    assert!(["cpu", "cuda"].iter().all(|device| stages.contains(*device)), "DEVICE names a stage");
    let last = |wanted: &str| all.iter().rev().find(|(name, _)| name == wanted).map(|(_, rest)| rest.as_str()).unwrap();
    let end = all.iter().rposition(|(name, _)| name == "FROM").unwrap();
    assert!(all[end..].iter().all(|(name, _)| name != "RUN" && name != "COPY"), "the last stage builds nothing");
    let user: u32 =
        last("USER").split(':').next().unwrap().parse().expect("a number, so that runAsNonRoot can check it");
    assert!(user > 0);
    let exec = |text: &str| serde_json::from_str::<Vec<String>>(text).unwrap();
    assert_eq!(exec(last("ENTRYPOINT")), ["startle"]);
    startle().args(exec(last("CMD"))).assert().success();
    let check = exec(last("HEALTHCHECK").split_once("CMD ").unwrap().1);
    assert_eq!(check[0], "startle");
    startle().args(&check[1..]).assert().success();
    // What a build would say, where there is one who can.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("Containerfile"), text).unwrap();
    let file = dir.path().join("Containerfile");
    let mut check = Command::new("docker");
    match check.args(["build", "--check", "-f"]).arg(file).arg(env!("CARGO_MANIFEST_DIR")).output() {
        Ok(done) if done.status.success() => {}
        Ok(done) if String::from_utf8_lossy(&done.stderr).contains("warning") => {
            panic!("{}", String::from_utf8_lossy(&done.stderr))
        }
        _ => eprintln!("skipped: no docker that can check a Containerfile"),
    }
}
