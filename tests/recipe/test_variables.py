"""What the entry script is told reaches Hydra as it stands,
or is refused before the first stage.
"""

import json

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from recipe.difficulty_calib.variables import check, expert_of, hydra_value, main, quoted
from reward_fns.errors import UserError

PARSER = OverridesParser.create()
PATHS = (
    "/a/ü = b",
    "/a,b",
    "/a(b",
    "/a[0]",
    "/it's",
    "/a&b",
    "/a#b",
    "/a\\",
    "/a\\'",
    "/${HOME}",
    "",
)
JUDGE = {"kind": "openai", "model": "gpt-4o"}


def read_by_hydra(text):
    value = PARSER.parse_override(f"key={text}").value()
    return OmegaConf.to_container(OmegaConf.create({"key": value}), resolve=True)["key"]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_read_as_it_stands(path):
    assert read_by_hydra(quoted(path)) == path


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=30))
def test_so_is_any_text(text):
    assert read_by_hydra(quoted(text)) == text


KEYS = st.from_regex(r"[a-zA-Z][a-zA-Z0-9]{0,5}([-._/:,= ][a-zA-Z0-9]{1,5}){0,3}", fullmatch=True)


def is_a_word_of_hydras(key):
    return key.lower() in ("null", "true", "false", "inf", "nan", "infinity")


@given(
    st.dictionaries(
        KEYS.filter(lambda key: not is_a_word_of_hydras(key)),
        st.none() | st.booleans() | st.integers() | st.text("aü'\\=,$ "),
    )
)
def test_so_are_options_with_keys_that_are_names_of_models(options):
    hydra = read_by_hydra(hydra_value({"prices": options}))
    assert hydra == {"prices": options}


def test_an_expert_with_prices_reaches_the_reward(monkeypatch, capsys):
    prices = {"gpt-4o": {"input": 2.5, "output": 10}, "gpt-4.1-mini": {"input": 0.4, "output": 1.6}}
    given = JUDGE | {"prices": prices, "parameters": {"temperature": None}}
    monkeypatch.setenv("EXPERT", json.dumps(given))
    assert main(["check"]) == 0 and main(["expert"]) == 0
    assert (
        read_by_hydra(capsys.readouterr().out.strip())
        == given
        == expert_of({"EXPERT": json.dumps(given)})
    )


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("DATA", "/a\nb", "a line break"),
        ("EXPERT", "{kind: openai}", "is not JSON"),
        ("EXPERT", "orakel", "EXPERT: .*orakel"),
        ("EXPERT", json.dumps(JUDGE | {"server": "${oc.env:SECRET}"}), "holds a .*api_key_env"),
        ("EXPERT", '{"base_url": "http://me:pass@word', "^EXPERT is not JSON [^@]*$"),
        *(
            (
                "EXPERT",
                json.dumps(JUDGE | {"base_url": f"http://{name_and_password}@judge/v1"}),
                "^EXPERT has a password in base_url[^@]*http://NAME@HOST/v1[^@]*password_env$",
            )
            for name_and_password in ("me:pass@word", "me:pass/word", "me@home:pass", ":pass")
        ),
        (
            "EXPERT",
            json.dumps(JUDGE | {"base_url": "http://me@judge/v1", "password_env": "NOT_SET"}),
            "the environment variable NOT_SET of password_env is not set",
        ),
        ("EXPERT", json.dumps(JUDGE | {"timeout": -1}), "timeout must be above 0"),
        ("EXPERT", json.dumps(JUDGE | {"prices": {"grün": 1}}), "cannot be written for Hydra"),
    ],
)
def test_what_a_later_stage_would_stumble_over_is_refused(name, value, why):
    with pytest.raises(UserError, match=why):
        check({name: value})


SECRET = "c4n4ry"
RAY_VARIABLES = "ray_kwargs.ray_init.runtime_env.env_vars"


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"parameters": {"api_key": SECRET}}, "parameters.api_key"),
        ({"parameters": {"tenant": {"token": SECRET}}}, "parameters.tenant.token"),
        (
            {"parameters": {"extra_headers": {"X-Api-Key": SECRET}}},
            "parameters.extra_headers.X-Api-Key",
        ),
        (
            {"parameters": {"headers": {"Authorization": SECRET}}},
            "parameters.headers.Authorization",
        ),
        ({"parameters": {"extra_body": [{"password": 31415}]}}, "parameters.extra_body.0.password"),
        ({"parameters": {"x": ["a", f"Bearer {SECRET}"]}}, "parameters.x.1"),
        ({"parameters": {"x": f"sk-proj-{SECRET}-0123456789"}}, "parameters.x"),
        ({"parameters": {"x": f"http://me:{SECRET}@tools/"}}, "parameters.x"),
        # No issuer's form: letters and digits alone.
        ({"parameters": {"x": f"{SECRET}0123456789abcdefghijABCDEFGHIJ"}}, "parameters.x"),
        # The value of a variable whose name says what it is; as a name as well.
        ({"parameters": {"x": "as in the environment"}}, "parameters.x"),
        ({"parameters": {"x": {"as in the environment": 1}}}, "parameters.x.[...]"),
        ({"server": f"hf_{SECRET}0123456789abcdef"}, "server"),
    ],
)  # fmt: skip
def test_a_secret_among_an_expert_s_options_is_refused_unshown(options, where):
    given = {"EXPERT": json.dumps(JUDGE | options), "JUDGE_TOKEN": "as in the environment"}
    with pytest.raises(UserError) as raised:
        check(given)
    said = str(raised.value)
    assert said.startswith(f"EXPERT has what looks like a secret in {where}, which logs would show")
    assert "parameters_env" in said
    assert SECRET not in said and "31415" not in said and "as in" not in said


def test_a_class_of_one_s_own_is_told_what_to_do_about_its_secret():
    own = {"kind": "reward_fns.expert.oracle:OracleExpert", "credentials": SECRET}
    with pytest.raises(UserError, match="in credentials, .* environment variable") as raised:
        check({"EXPERT": json.dumps(own)})
    assert SECRET not in str(raised.value)


def test_what_only_sounds_like_a_secret_is_none():
    parameters = {
        "max_tokens": 64,
        "max_completion_tokens": 64,
        "stop_token_ids": [1, 2],
        "return_token_ids": True,
        "prompt_cache_key": "judge-v1",
        "user": "8c7c2b0e-3f1d-4f43-9a51-2d3a1c0f9f5e",
        "reasoning_effort": "low",
        "chat_template_kwargs": {"enable_thinking": False},
        "guided_regex": "[0-9]{1,32}",
    }
    expert = JUDGE | {
        "api_key_env": "JUDGE_KEY",
        "cache": "outputs/Judge7B/cache/verdicts/of/seed0/and/others",
        "prices": {"gpt-4o": {"input": 2.5, "output": 10}},
        "parameters": parameters,
    }
    check({"EXPERT": json.dumps(expert), "SOME_TOKEN": "short"})


def test_a_secret_parameter_is_named_by_its_variable(monkeypatch):
    monkeypatch.setenv("TENANT_TOKEN", SECRET)
    expert = JUDGE | {"parameters_env": {"tenant": {"token": "TENANT_TOKEN"}}}
    check({"EXPERT": json.dumps(expert)})
    monkeypatch.delenv("TENANT_TOKEN")
    with pytest.raises(UserError, match="variable of parameters_env.tenant.token is not set"):
        check({"EXPERT": json.dumps(expert)})


def test_nothing_set_is_fine():
    check({})


@pytest.mark.parametrize(
    ("key", "where"),
    [
        (f"+trainer.wandb_api_key={SECRET}", "trainer.wandb_api_key"),
        (f"+env={{TOKEN:{SECRET}}}", "env.TOKEN"),
        (f"trainer.project_name=hf_{SECRET}0123456789abcdef", "trainer.project_name"),
        ("trainer.project_name='as in the environment'", "trainer.project_name"),
        (
            "trainer.project_name=${oc.env:JUDGE_TOKEN}",
            "trainer.project_name, ${oc.env:JUDGE_TOKEN},",
        ),
        (f"+{RAY_VARIABLES}.HF_TOKEN={SECRET}", f"{RAY_VARIABLES}.HF_TOKEN"),
        (f"+a.api_key_env=sk-proj-{SECRET}-0123456789", "a.api_key_env"),
        ("+a.api_key=${oc.env:PLAIN}", "a.api_key, ${oc.env:PLAIN},"),
        ("+a.x=${oc.env:PROXY}", "a.x, ${oc.env:PROXY},"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stage", ["GRPO", "SFT"])
def test_a_secret_among_hydra_keys_is_refused_unshown(key, where, stage):
    given = {"JUDGE_TOKEN": "as in the environment", "PROXY": f"http://me:{SECRET}@proxy:1"}
    if stage == "SFT" and " " in key:
        key = key.replace(
            "as in the environment", given.setdefault("A_TOKEN", "as-in-the-environment")
        )
    keys = [key] if stage == "GRPO" else []
    with pytest.raises(UserError) as raised:
        check(given | ({"SFT_ARGS": f"optim.lr=1 {key}"} if stage == "SFT" else {}), keys)
    said = str(raised.value)
    assert said.startswith(f"{where} has what looks like a secret, which verl prints")
    assert SECRET not in said and "as in" not in said


def test_keys_of_a_real_run_hold_none():
    keys = [
        "trainer.logger=[console,wandb]",
        "actor_rollout_ref.actor.loss_agg_mode=token-mean",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=16384",
        "~reward.custom_reward_function.reward_kwargs.expert",
        "trainer.default_local_dir=${oc.env:HOME}/runs",
        "trainer.experiment_name='basic grpo'",
        f"+{RAY_VARIABLES}.OMP_NUM_THREADS=1",
    ]
    check({"SFT_ARGS": "data.train_batch_size=8"}, keys)


@pytest.mark.parametrize(
    "value", [f"{SECRET}(def", f"hü{SECRET}", f"{SECRET},b", f"choice({SECRET},b)"]
)
def test_a_value_that_hydra_cannot_take_is_refused_before_hydra_shows_it(value):
    with pytest.raises(UserError, match=r"^\+a\.x") as raised:
        check({}, [f"+a.x={value}"])
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "expert",
    [f"sk-proj-{SECRET}-0123456789", JUDGE | {"api_key_env": f"sk-{SECRET}-0123456789abc"}],
)
def test_a_key_in_the_place_of_a_kind_or_of_a_variable_is_refused_unshown(expert):
    text = expert if isinstance(expert, str) else json.dumps(expert)
    with pytest.raises(UserError, match="looks like a secret") as raised:
        check({"EXPERT": text})
    assert SECRET not in str(raised.value)
